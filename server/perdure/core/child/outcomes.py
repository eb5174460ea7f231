"""Recording what came of starting a child, on its parent's side."""

from perdure.core.child.transitions import record_failed, record_started
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored


def resolve_start(step: RunStep, message: stored.Message, receipt: stored.Receipt) -> bool:
    """Records whether a child has started.

    Returns:
        Whether that was not known; if it was, or the parent has closed, nothing is recorded.
    """
    info = step.run.children.get(message.initiated_event_id)
    if info is None or info.message_id != message.id or info.started_run_id:
        return False
    if receipt.outcome == stored.Receipt.OUTCOME_TAKEN:
        record_started(step, info, receipt.started_run_id)
    else:
        record_failed(step, info, receipt.outcome)
    return True
