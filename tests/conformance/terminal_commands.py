"""The commands of the `temporal` CLI that talk to a server, and which of them a step has run."""

from functools import cache

from conformance.terminal import PROGRAM

GROUPS = {
    "activity": """
        cancel complete count delete describe execute fail list pause reset result start
        terminate unpause update-options
    """,
    "batch": "describe list terminate",
    "nexus operation": "cancel count describe execute list result start terminate",
    "operator cluster": "describe health list remove system upsert",
    "operator namespace": "create delete describe list update",
    "operator nexus endpoint": "create delete get list update",
    "operator search-attribute": "create list remove",
    "schedule": """
        backfill create delete describe list list-matching-times toggle trigger update
    """,
    "task-queue": "describe get-build-id-reachability get-build-ids list-partition",
    "task-queue config": "get set",
    "task-queue update-build-ids": """
        add-new-compatible add-new-default promote-id-in-set promote-set
    """,
    "task-queue versioning": """
        add-redirect-rule commit-build-id delete-assignment-rule delete-redirect-rule get-rules
        insert-assignment-rule replace-assignment-rule replace-redirect-rule
    """,
    "worker": "count describe list",
    "worker deployment": """
        create create-version delete delete-version describe describe-version list
        set-current-version set-ramping-version update-version-compute-config
        update-version-metadata
    """,
    "worker deployment manager-identity": "set unset",
    "workflow": """
        cancel count delete describe execute execute-update-with-start fix-history-json list
        metadata pause query reset result show signal signal-with-start stack start
        start-update-with-start terminate trace unpause update-options
    """,
    "workflow reset": "with-workflow-update-options",
    "workflow update": "describe execute result start",
}
"""The last words of commands, by the words before them."""

COMMANDS = tuple(
    sorted(f"{group} {name}" for group, names in GROUPS.items() for name in names.split())
)


@cache
def command_of(step: str) -> str | None:
    """Returns the command that a step of a recording has run, by its name; None for other steps."""
    words = [word for word in step.split() if not word.startswith("-")]
    if words[:1] != [PROGRAM]:
        return None
    line = " ".join(words[1:])
    found = [name for name in COMMANDS if f"{line} ".startswith(f"{name} ")]
    assert found, f"{step!r} runs no command that is known"
    return max(found, key=len)
