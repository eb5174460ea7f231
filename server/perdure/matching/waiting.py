"""A poll that waits, and what may end its waiting."""

import asyncio

from perdure.core.commit import DispatchTask
from perdure.rpc.clients import Encoded, ForwardOutcome, Poller, QueryOutcome, QueryTask


class PendingQuery:
    """A query on its way: waiting for a poller, or with a worker.

    Attributes:
        task: The query.
        outcome: Resolved by the worker's answer.
        place: Its number in the line of queries.
        in_line: Whether it waits for a poller.
    """

    __slots__ = ("in_line", "outcome", "place", "task")

    def __init__(self, task: QueryTask, outcome: asyncio.Future[QueryOutcome]) -> None:
        self.task = task
        self.outcome = outcome
        self.place = 0
        self.in_line = False


class ForwardedTask:
    """A task of another partition of the queue, at its root: waiting for a poller, or with one.

    Attributes:
        task: The task.
        limited: Whether its own partition keeps to the rate that workers set.
        outcome: Resolved by what became of it.
        place: Its number in the line of such tasks.
        in_line: Whether it waits for a poller.
        waited_for: Whether a poller had waited for it to come.
    """

    __slots__ = ("in_line", "limited", "outcome", "place", "task", "waited_for")

    def __init__(
        self, task: DispatchTask, limited: bool, outcome: asyncio.Future[ForwardOutcome]
    ) -> None:
        self.task = task
        self.limited = limited
        self.outcome = outcome
        self.place = 0
        self.in_line = False
        self.waited_for = False

    def settle(self, outcome: ForwardOutcome) -> None:
        """Tells its partition what became of it, if that still waits."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


Match = DispatchTask | ForwardedTask | PendingQuery | Encoded
"""What a poller gets: a task to start, a query to pass on, or the response of a fused start."""


class WaitingPoller:
    """A poll without a task yet. It waits in its partition's line, or is reserved.

    Attributes:
        poller: Who polls.
        match: Resolved by what it gets, None when there is nothing for it.
        place: Its number in the line.
        in_line: Whether it stands in the line.
        ending: It was told to end while it was reserved; it does so when it is released.
        fused_task: The task whose response a fused start delivered.
    """

    __slots__ = ("ending", "fused_task", "in_line", "match", "place", "poller")

    def __init__(self, poller: Poller, match: asyncio.Future[Match | None]) -> None:
        self.poller = poller
        self.match = match
        self.place = 0
        self.in_line = False
        self.ending = False
        self.fused_task: DispatchTask | None = None
