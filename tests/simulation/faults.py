"""Which faults a seed injects, how often, and when they stop.

Theory of operation: every kind of fault is switched on by the toss of a coin (a run with all of
them hides what only one can show), with a rate of its own; some runs are fiercer than the rest.
`FaultPlan.stop` ends them all, so that the rest of the run can show that nothing was lost.
"""

import random
from dataclasses import dataclass, fields


@dataclass(slots=True, kw_only=True)
class FaultPlan:
    """Rates of faults: probabilities per operation, or mean seconds between two; 0 means never.

    Attributes:
        request_loss: An RPC does not reach the server.
        reply_loss: The server's answer does not reach the caller.
        silent_loss: Of lost messages, those that the caller learns of only by its deadline.
        duplicate_request: A signal or request to cancel arrives twice.
        slow_message: A message takes up to a second.
        store_unavailable: A commit or read fails, nothing being written.
        unknown_outcome: A commit's outcome is unknown; whether it was applied is another toss.
        unknown_change: A change of nodes or shards has an effect and no answer.
        slow_store: A store operation takes up to two seconds.
        worker_vanishes: A worker takes a task and is never heard of again.
        worker_is_slow: A worker answers after the task has timed out.
        workflow_task_fails: A worker fails a workflow task.
        crash_seconds: Mean time between crashes of a node.
        outage_seconds: Mean time between outages of the store.
        clock_jump_seconds: Mean time between jumps of a wall clock.
        worker_restart_seconds: Mean time between restarts of a worker.
        pause_seconds: Mean time between stops of a node that goes on later, as by SIGSTOP.
        cut_seconds: Mean time between lines being cut: of two nodes, or of a node and the store or
            some clients.
        slow_line_seconds: Mean time between lines becoming slow.
        leave_seconds: Mean time between nodes leaving in good order, to come back later.
    """

    request_loss: float = 0.0
    reply_loss: float = 0.0
    silent_loss: float = 0.0
    duplicate_request: float = 0.0
    slow_message: float = 0.0
    store_unavailable: float = 0.0
    unknown_outcome: float = 0.0
    unknown_change: float = 0.0
    slow_store: float = 0.0
    worker_vanishes: float = 0.0
    worker_is_slow: float = 0.0
    workflow_task_fails: float = 0.0
    crash_seconds: float = 0.0
    outage_seconds: float = 0.0
    clock_jump_seconds: float = 0.0
    worker_restart_seconds: float = 0.0
    pause_seconds: float = 0.0
    cut_seconds: float = 0.0
    slow_line_seconds: float = 0.0
    leave_seconds: float = 0.0

    def stop(self) -> None:
        """Ends all faults."""
        for field in fields(self):
            setattr(self, field.name, 0.0)

    def names(self) -> list[str]:
        """Returns the kinds of fault that are on."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


def random_plan(generator: random.Random, *, nodes: int = 1) -> FaultPlan:
    """Draws the faults of a run with so many nodes."""
    fierce = generator.choice((1, 1, 1, 1, 1, 3))
    # The more nodes there are, the less does the death of one of them stop.
    often = fierce if nodes == 1 else 2 * fierce

    def rate(highest: float) -> float:
        return _toss(generator) * highest * fierce

    def seconds(longest: float) -> float:
        return _toss(generator) * longest / often

    plan = FaultPlan(
        request_loss=rate(0.05),
        reply_loss=rate(0.05),
        silent_loss=_toss(generator),
        duplicate_request=rate(0.2),
        slow_message=rate(0.1),
        store_unavailable=rate(0.05),
        unknown_outcome=rate(0.03),
        unknown_change=rate(0.05),
        slow_store=rate(0.05),
        worker_vanishes=rate(0.05),
        worker_is_slow=rate(0.05),
        workflow_task_fails=rate(0.05),
        crash_seconds=seconds(60.0),
        outage_seconds=seconds(60.0),
        clock_jump_seconds=seconds(60.0),
        worker_restart_seconds=seconds(30.0),
        pause_seconds=seconds(40.0),
    )
    if nodes > 1:
        plan.cut_seconds = seconds(30.0)
        plan.slow_line_seconds = seconds(60.0)
        plan.leave_seconds = seconds(60.0)
    return plan


def _toss(generator: random.Random) -> float:
    """Returns 0 for a fault that is off, and else how much of the highest rate there is."""
    return generator.uniform(0.1, 1.0) if generator.random() < 0.5 else 0.0
