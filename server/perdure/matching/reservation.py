"""A poller held back for a fused start."""

from perdure.core.commit import DispatchTask
from perdure.matching.partition import Partition
from perdure.matching.waiting import WaitingPoller
from perdure.rpc.clients import Encoded, Poller


class PollerReservation:
    """A `Reservation`: either `deliver` or `release` must follow, soon."""

    __slots__ = ("_partition", "_waiter")

    def __init__(self, partition: Partition, waiter: WaitingPoller) -> None:
        self._partition = partition
        self._waiter = waiter

    @property
    def poller(self) -> Poller:
        """Who waits."""
        return self._waiter.poller

    def deliver(self, response: Encoded, task: DispatchTask | None = None) -> bool:
        """Answers the poller; False when it is gone, and the start must be undone.

        Should it go between this call and its own next step, matching has `task` undone.
        """
        return self._partition.deliver(self._waiter, response, task)

    def release(self) -> None:
        """Puts the poller back: there is no task for it after all."""
        self._partition.release(self._waiter)
