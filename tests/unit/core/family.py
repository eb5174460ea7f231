"""A parent and a child, each driven by itself, and the messages between them."""

from typing import Any

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import ParentClosePolicy
from temporalio.api.history.v1 import HistoryEvent

from conformance.commands import start_child
from conformance.driver import event_type
from perdure.core.commit import MessageRow
from perdure.core.workflow.settings import WorkflowSettings
from perdure.proto import stored_pb2 as stored
from unit.core.checks import Checker
from unit.core.driver import NAMESPACE_ID, Driver
from unit.core.rows import Rows

CHILD = "child"
TAKEN = stored.Receipt.OUTCOME_TAKEN
NOT_FOUND = stored.Receipt.OUTCOME_NOT_FOUND
ALREADY_EXISTS = stored.Receipt.OUTCOME_ALREADY_EXISTS
NAMESPACE_NOT_FOUND = stored.Receipt.OUTCOME_NAMESPACE_NOT_FOUND
INITIATED_ID = 5


class Family:
    """A parent, and the workflow id of its child; messages between them go when they are told."""

    def __init__(self, settings: WorkflowSettings | None = None, **fields: Any) -> None:
        self.parent = Driver(settings)
        self.child = Driver(settings)
        self.child.rows = Rows(NAMESPACE_ID, CHILD)
        self.parent.start(**fields)

    def send(self, *batch: Command, **fields: Any) -> str:
        """Has the parent's worker complete a task."""
        return self.parent.complete(self.parent.take_workflow_task(), *batch, **fields)

    def begin(self, **fields: Any) -> None:
        """Starts the child, and has the parent hear of it."""
        assert self.send(start_child(CHILD, "queue", **fields)) == ""
        self.deliver(self.parent)

    def deliver(self, sender: Driver, *, answered: bool = True) -> stored.Receipt:
        """Carries the oldest message of one to the other, and its answer back."""
        row = sender.outbox[0]
        message = stored.Message.FromString(row.data)
        receiver = self.child if message.target.workflow_id == CHILD else self.parent
        receipt = receiver.receive(message)
        if answered:
            sender.settle(row, receipt)
        return receipt

    def check(self) -> None:
        """Checks both."""
        Checker(self.parent).check()
        Checker(self.child).check()


def names(driver: Driver, after: int = 0) -> list[str]:
    history = driver.rows.history(driver.rows.current_run_id)
    return [event_type(event) for event in history[after:]]


def last(driver: Driver, kind: str) -> HistoryEvent:
    history = driver.rows.history(driver.rows.current_run_id)
    return next(event for event in reversed(history) if event_type(event) == kind)


def message(row: MessageRow) -> stored.Message:
    return stored.Message.FromString(row.data)


def policy(name: str) -> ParentClosePolicy.ValueType:
    return ParentClosePolicy.Value(f"PARENT_CLOSE_POLICY_{name}")


# Starting
