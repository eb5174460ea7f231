"""What commands of the `temporal` CLI show otherwise than with the real server, on purpose.

Rows are a scenario, a path and a reason, as in `deviations.py`, which takes them over.
"""

from collections.abc import Iterator

NOT_HERE = "refused by name, not here yet"
"""How the reason begins for what is not served at all."""

_BUILD_IDS = "the BuildIds search attribute is not kept"
_CAPABILITIES = "only capabilities that are here are announced"
_CLOSED = "a closed run has nothing pending, where the real server shows what its end left"
_FAIRNESS = f"{NOT_HERE}: rate limits and weights of fairness keys"
_MEMORY = "a dev server keeps its data in memory unless it is given a file, and says so"
_PARTITIONS = "a dev server's queues have one partition, and a node goes by its host's name"
_TRANSITIONS = "a start fused with its commit counts by what happened, not by transactions"

_INFO = "stdout/workflowExecutionInfo"
_ATTRIBUTES = f"{_INFO}/searchAttributes/indexedFields"
_DESCRIBE = "temporal workflow describe *-o json*"

_SHOWN_OTHERWISE: tuple[tuple[str, str, str], ...] = (
    ("*", "**/stateTransitionCount", _TRANSITIONS),
    ("terminal_activity", f"{_DESCRIBE}/{_ATTRIBUTES}/BuildIds", _BUILD_IDS),
    ("terminal_cluster", "temporal operator cluster describe*/stdout/1", _MEMORY),
    ("terminal_cluster", "temporal operator cluster describe*/stdout/persistenceStore", _MEMORY),
    ("terminal_cluster", "temporal operator cluster describe*/stdout/visibilityStore", _MEMORY),
    ("terminal_cluster", "temporal operator cluster system*/stdout/capabilities/*", _CAPABILITIES),
    *(
        (
            "terminal_namespace",
            f"temporal operator namespace {name} *-o json*/stdout/namespaceInfo/{part}/*",
            _CAPABILITIES,
        )
        for name in ("describe", "update")
        for part in ("capabilities", "limits")
    ),
    ("terminal_task_queue", "temporal task-queue list-partition *", _PARTITIONS),
    ("terminal_task_queue", "temporal task-queue config set *--fairness-key*", _FAIRNESS),
    ("terminal_workflow_describe", f"{_DESCRIBE}/{_ATTRIBUTES}", _BUILD_IDS),
    ("terminal_workflow_describe", f"{_DESCRIBE}/stdout/pending*", _CLOSED),
    ("terminal_workflow_ends", f"{_DESCRIBE}/{_ATTRIBUTES}", _BUILD_IDS),
    ("terminal_workflow_ends", f"{_DESCRIBE}/stdout/pendingWorkflowTask", _CLOSED),
)

_OVERRIDES = "temporal workflow update-options *--versioning-override-behavior="
_NOT_SERVED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "terminal_cluster",
        "remote clusters",
        tuple(f"temporal operator cluster {name}*" for name in ("list", "upsert", "remove")),
    ),
    (
        "terminal_nexus",
        "Nexus",
        (
            *(
                f"temporal operator nexus endpoint {name}*"
                for name in ("create", "delete", "get", "list", "update")
            ),
            *(
                f"temporal nexus operation {name}*"
                for name in (
                    *("cancel", "count", "describe", "execute"),
                    *("list", "result", "start", "terminate"),
                )
            ),
        ),
    ),
    (
        "terminal_standalone_activity",
        "activities without a workflow",
        tuple(
            f"temporal activity {name} *"
            for name in (
                *("cancel", "count", "delete", "describe", "execute"),
                *("list", "result", "start", "terminate"),
            )
        ),
    ),
    (
        "terminal_worker_deployment",
        "worker deployments",
        tuple(
            f"temporal worker deployment {name} *"
            for name in (
                *(
                    "create",
                    "create-version",
                    "delete",
                    "delete-version",
                    "describe",
                    "describe-version",
                    "list",
                ),
                *("manager-identity set", "manager-identity unset", "set-current-version"),
                *("set-ramping-version", "update-version-compute-config"),
                "update-version-metadata",
            )
        ),
    ),
    (
        "terminal_workflow_batches",
        "batch operations, which --query starts",
        ("temporal workflow *--query=*",),
    ),
    (
        "terminal_workflow_batches",
        "batch operations",
        (*(f"temporal batch {n} *" for n in ("describe", "list", "terminate")),),
    ),
    (
        "terminal_workflow_options",
        "versioning overrides",
        (f"{_OVERRIDES}auto_upgrade*", f"{_OVERRIDES}pinned *"),
    ),
    (
        "terminal_workflow_reset_with_options",
        "workflow options updated after a reset",
        ("temporal workflow reset with-workflow-update-options *",),
    ),
    (
        "terminal_workflow_pause",
        "pauses of workflows",
        ("temporal workflow pause *", "temporal workflow unpause *"),
    ),
)


def rows() -> Iterator[tuple[str, str, str]]:
    """Yields all deviations of commands."""
    yield from _SHOWN_OTHERWISE
    for scenario, feature, paths in _NOT_SERVED:
        for path in paths:
            yield scenario, path, f"{NOT_HERE}: {feature}"
