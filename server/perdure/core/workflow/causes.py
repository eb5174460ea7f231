"""What brought about what a run does later: the spans that are stored with it."""

from dataclasses import replace

from perdure.core.commit import MessageRow
from perdure.core.workflow.state import Deadline, DeadlineKind, Run, is_justified
from perdure.proto import stored_pb2 as stored


def with_cause(row: MessageRow, cause: bytes) -> MessageRow:
    """Returns a message's row with the span that it is written in; without one, the row itself."""
    if not cause:
        return row
    # A serialised message and another one behind it are the serialised union of both.
    return replace(row, data=row.data + stored.Message(cause=cause).SerializeToString())


def causes_of_due(run: Run, now: int) -> list[bytes]:
    """Returns the spans in which what is due by `now` was scheduled, each once, in that order.

    Of what was scheduled in no sampled span there is nothing to say.
    """
    due = sorted(each for each in run.deadlines if each.due <= now and is_justified(run, each))
    found = (_cause(run, deadline) for deadline in due)
    return list(dict.fromkeys(cause for cause in found if cause))


def _cause(run: Run, deadline: Deadline) -> bytes:
    match deadline.kind:
        case DeadlineKind.TIMER:
            return run.timers[deadline.timer_id].cause
        case DeadlineKind.ACTIVITY:
            return run.activities[deadline.event_id].cause
        case DeadlineKind.WORKFLOW_TASK:
            return run.state.workflow_task.cause
        case DeadlineKind.EXECUTION | DeadlineKind.RUN | DeadlineKind.FIRST_WORKFLOW_TASK:
            return run.start.cause
        case _:
            return b""
