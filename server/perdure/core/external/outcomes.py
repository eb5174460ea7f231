"""Recording what came of a message, on its sender's side."""

from perdure.core.child.outcomes import resolve_start
from perdure.core.commit import MessageRow
from perdure.core.external.transitions import resolve
from perdure.core.schedule import answers as schedule
from perdure.core.workflow.signals import after_external_event
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.proto import stored_pb2 as stored


def settle(
    step: Step, run: Run, row: MessageRow, message: stored.Message, receipt: stored.Receipt
) -> None:
    """Tells the sender what its message came to, and deletes the row.

    Args:
        step: The step of the sender's workflow id.
        run: The sender; it may have closed meanwhile.
        row: The message's row.
        message: What it says.
        receipt: What the receiver has answered.
    """
    change = step.edit(run)
    if run.schedule is not None and run.is_running:
        schedule.settle(change, row, receipt)
        return
    match message.WhichOneof("payload"):
        case "child_start":
            heard = resolve_start(change, message, receipt)
        case "child_result" | "parent_close":
            heard = False
        case _:
            heard = resolve(change, message.id, message.initiated_event_id, receipt.outcome)
    if heard:
        after_external_event(change)
    else:
        step.drop_message(row)
