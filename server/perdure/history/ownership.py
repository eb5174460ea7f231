"""Moves shards between the nodes of a cluster: what this node should own, it comes to own.

Theory of operation: membership says what this node owns, and calls back whenever that changes;
`ShardSet.adopt` follows at once. One task goes by every new view's plan: it takes what nobody alive
owns and gives away what others should have, one step after the other.
"""

import asyncio
from collections.abc import Sequence

from perdure.history.shards import ShardSet
from perdure.membership.balance import plan
from perdure.membership.member import Member
from perdure.membership.view import ClusterView
from perdure.persistence.ports import Shard, StoreError
from perdure.runtime.tasks import TaskSet
from perdure.telemetry.logging import get_logger

RETRY_SECONDS = 0.5


class MemberAuthority:
    """The `ShardAuthority` of a node of a cluster."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.lease_valid = member.lease_valid

    async def take(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        """Raises the epochs of shards; see `Member.take`."""
        return await self._member.take(shards)

    async def release(self, shard: Shard) -> None:
        """Makes a shard nobody's; see `Member.release`."""
        await self._member.release(shard)

    def takes_back(self) -> bool:
        """Returns that what another node has taken is that node's."""
        return False


class Ownership:
    """Keeps a `ShardSet` in step with the membership."""

    def __init__(
        self, *, member: Member, shards: ShardSet, tasks: TaskSet, most_moving: int
    ) -> None:
        """Makes it; `start` begins.

        Args:
            member: This node's membership, started already or not yet.
            shards: What this node owns.
            tasks: Where the background work runs.
            most_moving: How many shards may be without an owner at the same time because of
                releases of this node.
        """
        self._member = member
        self._shards = shards
        self._tasks = tasks
        self._most_moving = most_moving
        self._changed = asyncio.Event()
        self._log = get_logger("history")

    def start(self) -> None:
        """Adopts what is owned, and begins to move shards."""
        self._member.subscribe(self._viewed)
        self._member.on_lost(lambda: self._shards.adopt([]))
        self._viewed(self._member.view)
        self._tasks.spawn("move-shards", self._move_forever())

    async def given_away(self) -> None:
        """Waits until this node owns nothing, or nobody is there to take what it owns."""
        while self._shards.held and self._can_give():
            self._changed.clear()
            await self._changed.wait()

    def _can_give(self) -> bool:
        view = self._member.view
        return any(view.desired_history_owner(shard) is not None for shard in self._shards.held)

    def _viewed(self, view: ClusterView) -> None:
        self._shards.adopt(view.owned_by(self._member.id))
        self._changed.set()

    async def _move_forever(self) -> None:
        moved = asyncio.Event()
        self._member.subscribe(lambda _: moved.set())
        moved.set()
        while True:
            await moved.wait()
            moved.clear()
            if not await self._move():
                await asyncio.sleep(RETRY_SECONDS)
                moved.set()

    async def _move(self) -> bool:
        """Does what the plan says; returns whether all of it was done."""
        member = self._member
        steps = plan(member.view, member.id, most_moving=self._most_moving)
        try:
            taken = await self._shards.take(steps.take)
        except StoreError as error:
            self._log.warning("shards could not be taken; trying again", error=str(error))
            return False
        if taken:
            self._log.info("took shards", shards=len(taken))
        for shard in steps.release:
            await self._shards.release(shard)
        return len(taken) == len(steps.take)
