"""Workflows with children that the SDK scenarios run."""

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ParentClosePolicy


@workflow.defn
class Greets:
    """A child that waits for a name, and greets."""

    def __init__(self) -> None:
        self._name = ""

    @workflow.run
    async def run(self, how: str) -> str:
        """Ends as it is told: "greet", "fail", "at once", "again" (as a new run); or cancelled."""
        if how == "fail":
            raise ApplicationError("no greeting", type="Rude", non_retryable=True)
        if how == "again":
            workflow.continue_as_new("at once")
        if how == "at once":
            return "Hello again!"
        await workflow.wait_condition(lambda: bool(self._name))
        return f"Hello, {self._name}!"

    @workflow.signal
    def name(self, name: str) -> None:
        """Says whom to greet."""
        self._name = name


@workflow.defn
class HasChildren:
    """A parent that sees every end of a child."""

    @workflow.run
    async def run(self) -> list[str]:
        """Returns what it sees."""
        prefix = workflow.info().workflow_id
        seen: list[str] = []
        child = await workflow.start_child_workflow(Greets.run, "greet", id=f"{prefix}-greet")
        await child.signal(Greets.name, "child")
        seen.append(await child)
        seen.append(
            await workflow.execute_child_workflow(Greets.run, "again", id=f"{prefix}-again")
        )
        try:
            await workflow.execute_child_workflow(Greets.run, "fail", id=f"{prefix}-fail")
        except ChildWorkflowError as error:
            seen.append(_told(error))
        cancelled = await workflow.start_child_workflow(
            Greets.run,
            "greet",
            id=f"{prefix}-cancelled",
            cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        cancelled.cancel()
        try:
            await cancelled
        except (ChildWorkflowError, CancelledError) as error:
            seen.append(_told(error))
        await workflow.start_child_workflow(
            Greets.run,
            "greet",
            id=f"{prefix}-abandoned",
            parent_close_policy=ParentClosePolicy.ABANDON,
        )
        try:
            await workflow.start_child_workflow(Greets.run, "greet", id=f"{prefix}-abandoned")
        except WorkflowAlreadyStartedError as error:
            seen.append(f"{type(error).__name__}: {error.workflow_type}")
        return seen


def _told(error: FailureError) -> str:
    cause = error.__cause__
    inner = f": {type(cause).__name__}: {cause}" if cause is not None else ""
    return f"{type(error).__name__}: {error}{inner}"


CHILDREN = [Greets, HasChildren]
