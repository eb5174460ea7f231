"""docs/limits.md, made from the settings: what is limited, by which key, and what happens then."""

from collections.abc import Iterator, Mapping
from typing import Final

import perdure.app.settings  # noqa: F401 - declares the settings
from perdure.config.settings import SETTINGS, Setting

_HEAD: Final = """\
# Limits

Generated from the settings by `./dev generate`; do not edit. Keys, defaults and texts are those of
Temporal's server 1.32 where it has the limit; `perdure config settings` shows all settings, and
[the configuration](configuration.md#settings) says how they are given.

`small_*` in [the compatibility page](compatibility.md) are scenarios that run on both servers with
limits so low that they are passed.
"""
_INVALID: Final = "refused: INVALID_ARGUMENT"
_ENDED: Final = "the workflow task fails and the run is terminated: a replay would do it again"
_FAILED: Final = "the workflow task fails"

_LIMITS: Final[Mapping[str, Mapping[str, str]]] = {
    "Identifiers and texts": {
        "limit.maxIDLength": f"{_INVALID}; in a command, the workflow task fails",
        "limit.workerBuildIdSize": _INVALID,
        "limit.fairnessKeySize": _INVALID,
        "system.maxServiceErrorMessageLength": "the text is cut and ends in `... <truncated>`",
    },
    "Payloads": {
        "limit.blobSize.error": f"{_INVALID}; in a command, {_ENDED}",
        "limit.memoSize.error": f"{_INVALID}; in a command, {_ENDED}",
        "limit.blobSize.warn": "a failure over `limit.blobSize.error` is cut to this",
        "limit.mutableStateActivityFailureSize.error": "cut, with a note around it",
        "frontend.searchAttributesNumberOfKeysLimit": f"{_INVALID}; in a command, {_ENDED}",
        "frontend.searchAttributesSizeOfValueLimit": f"{_INVALID}; in a command, {_ENDED}",
        "frontend.searchAttributesTotalSizeLimit": f"{_INVALID}; in a command, {_ENDED}",
        "frontend.maxlinksPerRequest": _INVALID,
        "frontend.linkMaxSize": _INVALID,
    },
    "Histories and runs": {
        "limit.historyCount.suggestContinueAsNew": "the next workflow task suggests a new run",
        "limit.historyCount.warn": "the log names the run once",
        "limit.historyCount.error": "the step is dropped and the run is terminated",
        "limit.historySize.suggestContinueAsNew": "the next workflow task suggests a new run",
        "limit.historySize.warn": "the log names the run once",
        "limit.historySize.error": "the next step is dropped and the run is terminated",
        "limit.mutableStateSize.error": "the next step is dropped and the run is terminated",
        "history.maximumSignalsPerExecution": _INVALID,
        "history.maximumBufferedEventsBatch": "the workflow task that they wait for fails",
        "history.maximumBufferedEventsSizeInBytes": "the workflow task that they wait for fails",
        "history.MaxBufferedQueryCount": "refused: RESOURCE_EXHAUSTED",
        "history.workflowIdReuseMinimalInterval": "the next run waits",
        "history.workflowTaskHeartbeatTimeout": "the workflow task times out",
        "system.maxWorkflowTaskTimeout": "a longer timeout is cut",
    },
    "Pending work of a run": {
        "limit.numPendingActivities.error": _FAILED,
        "limit.numPendingChildExecutions.error": _FAILED,
        "limit.numPendingSignals.error": _FAILED,
        "limit.numPendingCancelRequests.error": _FAILED,
    },
    "Updates": {
        "history.maxInFlightUpdates": "refused: RESOURCE_EXHAUSTED",
        "history.maxInFlightUpdatePayloads": "refused: RESOURCE_EXHAUSTED",
        "history.maxTotalUpdates": "refused: FAILED_PRECONDITION",
        "history.maxTotalUpdates.suggestContinueAsNewThreshold": (
            "the next workflow task suggests a new run"
        ),
    },
    "Callbacks": {
        "callback.allowedAddresses": f"elsewhere: {_INVALID}",
        "callback.maxPerExecution": f"{_INVALID}; attached to an open run, FAILED_PRECONDITION",
        "frontend.callbackURLMaxLength": _INVALID,
        "frontend.callbackHeaderMaxLength": _INVALID,
    },
    "Batch operations": {
        "frontend.MaxConcurrentBatchOperationPerNamespace": "refused: RESOURCE_EXHAUSTED",
        "frontend.MaxExecutionCountBatchOperationPerNamespace": _INVALID,
        "worker.batcherRPS": "the job waits",
        "worker.batcherConcurrency": "the job waits",
    },
    "Pages and waits": {
        "frontend.historyMaxPageSize": "a larger page is cut",
        "frontend.visibilityMaxPageSize": "a larger page is cut",
        "history.longPollExpirationInterval": "the answer is empty",
        "matching.longPollExpirationInterval": "the answer is empty",
        "system.namespaceMinRetentionLocal": f"shorter: {_INVALID}",
    },
    "Visibility queries": {
        "frontend.visibilityQueryMaxSize": _INVALID,
        "frontend.visibilityQueryMaxTokens": _INVALID,
        "frontend.visibilityQueryMaxNesting": _INVALID,
        "frontend.visibilityQueryMaxAlternations": _INVALID,
    },
}
_TAIL: Final = """\
## What is limited without a setting

- A request has at most 4 MiB; a larger one is RESOURCE_EXHAUSTED with the text that SDKs recognise.
- Requests per second and requests that wait: see
  [the configuration](configuration.md#limits-of-requests).
- A schedule holds 1,000 times that are due, and drops what comes on top.
- Of a namespace the last 100 batch operations are kept.

## What Temporal limits and Perdure does not

- The size of a transaction (`system.transactionSizeLimit`): a request has no more than that.
- Caches by their number of entries: here they are bounded in bytes
  (`history.hostLevelCacheMaxSizeBytes`).
- `limit.memoSize.warn`, `limit.mutableStateSize.warn` and `limit.blobSize.warn` as warnings: the
  histograms `mutable_state_size` and `event_blob_size`, or an alert on them, tell more than a line
  in the log. (Temporal heeds `limit.X.error` only where `limit.X.warn` is passed too.)
"""


def page() -> str:
    """Returns the page.

    Raises:
        KeyError: A key of the table is no setting.
        ValueError: A setting that is a limit by its key is not in the table.
    """
    listed = {key.lower() for section in _LIMITS.values() for key in section}
    if missing := {key for key in SETTINGS if key.startswith("limit.")} - listed:
        raise ValueError(f"limits that the page does not name: {', '.join(sorted(missing))}")
    return "\n".join((_HEAD, *_sections(), _TAIL))


def _sections() -> Iterator[str]:
    for title, limits in _LIMITS.items():
        yield f"## {title}"
        yield ""
        yield "| Setting | Default | What it is | Over it |"
        yield "| --- | --- | --- | --- |"
        for key, effect in limits.items():
            yield _row(SETTINGS[key.lower()], effect)
        yield ""


def _row(setting: Setting[object], effect: str) -> str:
    default = "none" if setting.default == () else setting.describe_default()
    return f"| `{setting.key}` | {default} | {setting.text} | {effect} |"
