"""Overlap policies: which of the times that are due start something now.

Theory of operation: what is due waits in a buffer, oldest first. Unless a policy lets it run beside
others, one start goes ahead only when nothing of the schedule runs; the policy of each of the
others says whether it waits, is dropped, or ends what runs to take its place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from temporalio.api.enums.v1 import schedule_pb2 as enums

from perdure.proto import stored_pb2 as stored

BufferedStart = stored.ScheduleState.BufferedStart
Policy = enums.ScheduleOverlapPolicy


@dataclass(slots=True)
class Decision:
    """What becomes of a buffer.

    Attributes:
        alone: The start that goes ahead because nothing runs.
        beside: The starts that go ahead whatever runs.
        waiting: The starts that stay in the buffer.
        skipped: How many are dropped.
        cancel: Whether what runs is to be cancelled.
        terminate: Whether what runs is to be terminated.
    """

    alone: BufferedStart | None = None
    beside: list[BufferedStart] = field(default_factory=list)
    waiting: list[BufferedStart] = field(default_factory=list)
    skipped: int = 0
    cancel: bool = False
    terminate: bool = False


def decide(
    buffer: Sequence[BufferedStart],
    *,
    is_running: bool,
    resolve: Callable[[Policy.ValueType], Policy.ValueType],
) -> Decision:
    """Decides about each start of a buffer, in order."""
    decision = Decision()
    for start in buffer:
        policy = resolve(start.overlap_policy)
        if policy == enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL:
            decision.beside.append(start)
        elif not is_running and decision.alone is None:
            decision.alone = start
        else:
            _overlap(decision, start, policy, is_running=is_running)
    return decision


def _overlap(
    decision: Decision, start: BufferedStart, policy: Policy.ValueType, *, is_running: bool
) -> None:
    match policy:
        case enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL:
            decision.waiting.append(start)
        case enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE:
            if decision.waiting:
                decision.skipped += 1
            else:
                decision.waiting.append(start)
        case enums.SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER if is_running:
            decision.cancel = True
            decision.waiting.append(start)
        case enums.SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER if is_running:
            decision.terminate = True
            decision.waiting.append(start)
        case (
            enums.SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER
            | enums.SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER
        ):
            # What it would end has not begun: it takes its place.
            decision.alone = start
        case _:
            decision.skipped += 1
