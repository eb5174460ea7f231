"""Holds Perdure's metrics against the real dev server's, under the same load.

    python -m conformance.metrics.comparison    writes docs/metrics-comparison.md

What differs on purpose, and why, stands in `OTHER_LABELS` and `OTHER_COUNTS`.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import NamedTuple

from conformance.metrics.scrape import Scrape, under_load
from conformance.targets import oracle_command, oracle_version, perdure_command
from perdure.telemetry.equivalents import EQUIVALENTS, OPERATED
from workbench.paths import ROOT

PAGE = ROOT / "docs" / "metrics-comparison.md"
OTHER_LABELS: Mapping[str, str] = {
    "build_information": "it says which Python runs, where the real server says which Go",
}
"""Names whose labels are others than the real server's, and why."""
OTHER_COUNTS: Mapping[tuple[str, str], str] = {
    ("service_requests", "DescribeNamespace"): "asked until the server serves",
    ("service_requests", "GetSystemInfo"): "asked until the server serves",
    ("service_requests", "PollActivityTaskQueue"): "workers choose how often they poll",
    ("service_requests", "PollWorkflowTaskQueue"): "workers choose how often they poll",
    ("service_requests", "PollWorkflowExecutionHistory"): "a long poll ends when time has passed",
    ("service_requests", "PollNexusTaskQueue"): "workers choose how often they poll",
    ("service_requests", "RecordWorkerHeartbeat"): "sent when time has passed",
    ("service_error_with_type", "serviceerror_Canceled"): (
        "polls of a worker that has gone: the real server takes them for answered"
    ),
    ("event_blob_size", "ContinueAsNewWorkflowExecution"): "the real server counts the memo too",
    ("event_blob_size", "StartChildWorkflowExecution"): "the real server counts the memo too",
    ("event_blob_size", "ConsistentQuery"): "of commands only",
    ("event_blob_size", "StartWorkflowExecution"): "of commands only",
    ("event_blob_size", "Unspecified"): "of commands only",
    ("event_blob_size", "temporal_api_update_v1_Acceptance"): "of commands only",
    ("event_blob_size", "temporal_api_update_v1_Response"): "of commands only",
}
"""What need not agree of what `COUNTED` names, and why."""


class Counted(NamedTuple):
    """Counts that must agree: of a metric by one of its labels, where others have these values."""

    name: str
    by: str
    where: Mapping[str, str]


_FRONTEND, _HISTORY = {"service_name": "frontend"}, {"service_name": "history"}
COUNTED = (
    Counted("service_requests", "operation", _FRONTEND),
    Counted("service_error_with_type", "error_type", _FRONTEND),
    Counted("action", "action_type", _FRONTEND),
    Counted("workflow_success", "workflowType", {}),
    Counted("workflow_failed", "workflowType", {}),
    Counted("workflow_terminate", "workflowType", {}),
    Counted("workflow_cancel", "workflowType", {}),
    Counted("workflow_continued_as_new", "workflowType", {}),
    Counted("workflow_schedule_to_close_latency", "workflowType", {}),
    Counted("activity_success", "activityType", {}),
    Counted("activity_fail", "activityType", {}),
    Counted("activity_task_fail", "activityType", {}),
    Counted("activity_timeout", "activityType", {}),
    Counted("activity_start_to_close_latency", "operation", {}),
    Counted("activity_schedule_to_close_latency", "operation", {}),
    Counted("start_to_close_timeout", "operation", {}),
    Counted("task_schedule_to_start_latency", "operation", {}),
    Counted("workflow_task_attempt", "operation", {}),
    Counted("complete_workflow_task_sticky_enabled_count", "operation", {}),
    Counted("command", "commandType", {}),
    Counted("event_blob_size", "commandType", _HISTORY),
    Counted("history_count", "operation", {"operation": "CompletionStats"}),
    Counted("poll_success", "task_type", {}),
)


class Difference(NamedTuple):
    """A count that is not the same."""

    name: str
    value: str
    ours: int
    real: int


def other_labels(ours: Scrape, real: Scrape) -> list[str]:
    """Returns the names that operators use whose kind or labels are not the real server's."""
    return [
        name
        for name in both(ours, real)
        if (ours[name].kind, ours[name].labels) != (real[name].kind, real[name].labels)
    ]


def other_counts(ours: Scrape, real: Scrape) -> list[Difference]:
    """Returns the counts that must agree and do not, those with a reason left out."""
    return [
        Difference(counted.name, value, here[value], there[value])
        for counted in COUNTED
        for here, there in [(_counts(ours, counted), _counts(real, counted))]
        for value in sorted(here.keys() | there.keys())
        if here[value] != there[value] and (counted.name, value) not in OTHER_COUNTS
    ]


def both(ours: Scrape, real: Scrape) -> list[str]:
    """Returns the names that operators use that both servers tell."""
    return [name for names in OPERATED.values() for name in names if name in ours and name in real]


def _counts(scrape: Scrape, counted: Counted) -> Counter[str]:
    """Returns whole numbers: counters are, and so is how many values a histogram has counted."""
    found: Counter[str] = Counter()
    metric = scrape.get(counted.name)
    for key, value in metric.samples.items() if metric else ():
        labels = dict(key)
        # What the real server's own workflows do is not the load.
        if labels.get("namespace") == "temporal_system":
            continue
        if counted.where.items() <= labels.items():
            found[labels[counted.by]] += round(value)
    return found


def page(ours: Scrape, real: Scrape) -> str:
    """Returns the page."""
    return "\n".join((_head(), *_names(ours, real), "", *_agreeing(ours, real), "", *_reasons()))


def _head() -> str:
    return f"""\
# Metrics, compared with the real server's

Generated by `python -m conformance.metrics.comparison` (with `tests` on the path); do not edit.

Temporal's dev server {oracle_version()} and Perdure were scraped under the same load, which the
official Python SDK {version("temporalio")} put on them. `tests/conformance/test_metrics.py` does it
again and holds what is said here. [Metrics](metrics.md) has all of Perdure's.
"""


def _names(ours: Scrape, real: Scrape) -> Iterator[str]:
    yield "## The names that operators use"
    yield ""
    yield "| Name | Perdure | Real server | Kind and labels |"
    yield "| --- | --- | --- | --- |"
    told_of = {name: each for each in EQUIVALENTS for name in each.names}
    for name in (name for names in OPERATED.values() for name in names):
        here, there = (
            "told" if name in scrape else "not under this load" for scrape in (ours, real)
        )
        if name in told_of:
            nearest = ", ".join(f"`{metric.name}`" for metric in told_of[name].nearest)
            here, same = "not told", f"instead: {nearest or 'nothing'}"
        elif name in ours and name in real:
            same = f"other: {OTHER_LABELS[name]}" if name in OTHER_LABELS else "the same"
        else:
            same = ""
        yield f"| `{name}` | {here} | {there} | {same} |"


def _agreeing(ours: Scrape, real: Scrape) -> Iterator[str]:
    yield "## Counts that agree exactly"
    yield ""
    yield "| Metric | Label | Values |"
    yield "| --- | --- | --- |"
    for counted in COUNTED:
        here, there = _counts(ours, counted), _counts(real, counted)
        values = ", ".join(
            f"{value} {here[value]}"
            for value in sorted(here)
            if here[value] == there[value] and (counted.name, value) not in OTHER_COUNTS
        )
        yield f"| `{counted.name}` | {counted.by} | {values} |"


def _reasons() -> Iterator[str]:
    yield "## Counts that need not agree"
    yield ""
    yield "| Metric | Value | Why |"
    yield "| --- | --- | --- |"
    for (name, value), why in OTHER_COUNTS.items():
        yield f"| `{name}` | {value} | {why} |"
    yield ""


def main() -> int:
    """Runs both servers and writes the page; fails where they differ without a reason."""
    ours, real = under_load(perdure_command()), under_load(oracle_command())
    wrong = [name for name in other_labels(ours, real) if name not in OTHER_LABELS]
    different = other_counts(ours, real)
    for each in (*wrong, *different):
        print(each)
    PAGE.write_text(page(ours, real), encoding="utf-8")
    return 1 if wrong or different else 0


if __name__ == "__main__":
    sys.exit(main())
