"""`Member`: keeps this node's lease, and tells the roles what the cluster looks like.

Theory of operation: one task renews the lease, one renewal at a time. Each answer is a reading of
the cluster; when it differs from the view before, there is a new view and subscribers are called.
Roles change the shard table through `take` and `release` only, so that the view never says that
this node owns what it has given away, whatever the order in which answers come.

A lease that lapsed (the store was away, the process was suspended) is revived only with the
shards taken anew: a takeover that somebody decided on meanwhile names epochs that are gone then.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar, TypeVarTuple, Unpack

from perdure.membership.changes import OwnChanges
from perdure.membership.lease import Lease
from perdure.membership.liveness import Liveness
from perdure.membership.observer import MembershipObserver, SilentObserver
from perdure.membership.settings import MembershipSettings
from perdure.membership.view import ClusterView
from perdure.persistence.ports import (
    ClusterRows,
    MembershipStore,
    NodeRow,
    NodeState,
    Shard,
    StartupError,
    StoreError,
    UnknownOutcome,
)
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.retry import Backoff
from perdure.runtime.tasks import ErrorCallback, TaskSet
from perdure.telemetry.logging import get_logger

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ViewCallback = Callable[[ClusterView], None]


class Member:
    """This node's membership.

    Attributes:
        node: This node's row. Its `id` changes when others removed it.
        view: The cluster as last read, with this node's own changes; empty before `start`.
    """

    def __init__(
        self,
        *,
        node: NodeRow,
        store: MembershipStore,
        clock: Clock,
        ids: Ids,
        settings: MembershipSettings,
        on_error: ErrorCallback,
        observer: MembershipObserver | None = None,
    ) -> None:
        """Makes a member that is not registered yet.

        Args:
            node: What to register; its `id` and `lease` are set here.
            store: Keeps nodes and shards.
            clock: Its monotonic clock must count the time that the machine sleeps.
            ids: Makes node ids; its randomness spreads the nodes' renewals.
            settings: How often, and how long.
            on_error: Told when membership has ended for good: another live node has the name. The
                process must end then.
            observer: Told of renewals and views.
        """
        lease = round(settings.lease * 1e9)
        self.node = replace(node, id=ids.request_id(), lease=lease)
        self.view = ClusterView()
        self._store = store
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._observer = observer or SilentObserver()
        self._log = get_logger("membership")
        self._lease = Lease(clock=clock, seconds=settings.lease, margin_seconds=settings.margin)
        self._liveness = Liveness(outage_seconds=settings.outage, grace_seconds=settings.grace)
        self._backoff = Backoff(
            initial_seconds=settings.shortest_retry,
            maximum_seconds=settings.period,
            total_seconds=settings.lease,
        )
        self._changes = OwnChanges()
        self._tasks = TaskSet(on_error=on_error)
        self._wake = asyncio.Event()
        self._registered = False
        self._view_callbacks: list[ViewCallback] = []
        self._lost_callbacks: list[Callable[[], None]] = []
        self.lease_valid = self._lease.valid
        """Tells whether what this node owns by its view may be read from memory. Cheap."""

    @property
    def id(self) -> str:
        """The id under which this node owns shards."""
        return self.node.id

    def subscribe(self, callback: ViewCallback) -> None:
        """Has every later view handed to a function, on the loop, once it is `view`."""
        self._view_callbacks.append(callback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Has a function called when this node was removed: it owns nothing from now on.

        `id` is still the old one during the call; a view with the new one follows.
        """
        self._lost_callbacks.append(callback)

    async def start(self) -> ClusterView:
        """Registers, reads the cluster, and keeps the lease from then on.

        A live node of the same name is given time to expire or to leave, once: it may be this
        node's earlier process, which was killed or is stopping. One that renews its lease meanwhile
        and does not stop is another one.

        Raises:
            StartupError: Another live node has the name.
            StoreError: The store failed.
        """
        await self._register(patient=True)
        await self._renew()
        self._tasks.spawn("renew-lease", self._renew_forever())
        return self.view

    def drain(self) -> None:
        """Tells everybody, at once, that this node takes no more and gives away what it owns."""
        self.node = replace(self.node, state=NodeState.DRAINING)
        self._publish(self.view.nodes, self.view.shards)
        self._wake.set()

    def refresh(self) -> None:
        """Has the lease renewed, and so the cluster read, at once."""
        self._wake.set()

    async def leave(self) -> None:
        """Ends the lease and removes the node; what it still owns is nobody's then."""
        await self._tasks.close()
        self._lease.end()
        try:
            await self._call(self._store.remove_node(self.id))
        except StoreError as error:
            self._log.warning("could not remove this node; its lease will expire", error=str(error))

    async def take(self, shards: Sequence[Shard]) -> list[Shard]:
        """Takes over shards that still have the epochs named; returns them with new epochs.

        They are in the view when this returns. One that was given away, or taken by others, before
        the answer came is not among them. Takes nothing while the lease is not valid.

        Raises:
            StoreError: It is not known what was taken: a later view tells.
        """
        if not shards or not self.lease_valid():
            return []
        taken = await self._call(self._store.take_shards(shards, self.id))
        self._note(taken)
        return [shard for shard in taken if self.view.shard(shard.first_slot) == shard]

    async def release(self, shard: Shard) -> None:
        """Makes a shard nobody's, in the view at once, in the store as soon as that answers.

        Nothing of the shard may be in flight, and it may not be read from memory any more.
        """
        self._note([shard._replace(owner="")])
        try:
            await self._call(self._store.release_shard(shard))
        except StoreError as error:
            self._log.info(
                "a release will be repeated", shard_id=shard.first_slot, error=str(error)
            )

    async def _renew_forever(self) -> None:
        failures = 0
        pause = self._pause()
        while True:
            await self._sleep(pause)
            sent = self._clock.monotonic()
            try:
                if not self._registered:
                    await self._register(patient=False)
                await self._renew()
            except StartupError:
                raise
            except Exception as error:  # noqa: BLE001 - without renewals the node would be dead
                failures += 1
                self._renewal_failed(error, failures)
                pause = self._backoff.pause_seconds(failures, self._ids)
            else:
                failures = 0
                pause = max(0.0, sent + self._pause() - self._clock.monotonic())
                if not self._registered:
                    pause = 0.0

    def _pause(self) -> float:
        return self._settings.period * (1 - self._settings.jitter * self._ids.random())

    async def _sleep(self, seconds: float) -> None:
        """Waits, or until there is something to tell the others."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _register(self, *, patient: bool) -> None:
        """Adds this node's row.

        Args:
            patient: Whether to wait for the lease of a node that has the name, once.

        Raises:
            StartupError: Another live node has the name.
        """
        deadline: float | None = None
        first: NodeRow | None = None
        while True:
            now = self._clock.monotonic()
            other = await self._call(self._store.register_node(self.node))
            # An attempt whose answer was lost may have added the row.
            if other is None or other.id == self.id:
                self._registered = True
                return
            if deadline is None:
                wait = other.lease / 1e9 + self._settings.margin if patient else 0.0
                deadline = now + wait
                first = other
            if now >= deadline or _goes_on(first, other):
                raise StartupError(
                    f"the node at {other.address} is alive under the name {other.name!r}: "
                    "give this node a name of its own, or stop the other one"
                )
            await asyncio.sleep(min(self._settings.period, deadline - now))

    async def _renew(self) -> None:
        """Renews the lease and publishes what was read."""
        sent = self._clock.monotonic()
        rows = await self._call(self._store.renew_node(self.id, self.node.state))
        answered = self._clock.monotonic()
        if rows is None:
            self._lose()
            return
        unfinished = self._changes.settle(rows.shards)
        if not self.lease_valid():
            rows = await self._reclaim(rows)
        alive = self._liveness.judge(rows, answered)
        self._publish((node for node in rows.nodes if node.id in alive), rows.shards)
        # Not before the view says what is owned: whoever reads from memory goes by both.
        self._lease.extend(sent)
        self._observer.lease_renewed(answered - sent)
        forget = self._ids.random() < self._settings.forget_probability
        if unfinished or forget:
            # Beside the renewals, which must not wait for it.
            self._tasks.spawn("tidy-cluster", self._tidy(unfinished, forget=forget))

    async def _tidy(self, unfinished: Sequence[Shard], *, forget: bool) -> None:
        """Repeats releases that have not got through; removes nodes that are long dead."""
        try:
            for shard in unfinished:
                await self._call(self._store.release_shard(shard))
            if forget:
                expired_for = round(self._settings.forget * 1e9)
                await self._call(self._store.remove_expired_nodes(expired_for))
        except StoreError as error:
            self._log.info("tidying the cluster will be repeated", error=str(error))

    async def _reclaim(self, rows: ClusterRows) -> ClusterRows:
        """Takes this node's shards anew, after its lease had lapsed.

        Returns the reading with the new epochs. What others took meanwhile is nobody's in it,
        until the next reading.
        """
        shown = self._changes.overlay(rows.shards)
        mine = [shard for shard in shown if shard.owner == self.id]
        kept: dict[int, Shard] = {}
        if mine:
            self._log.warning("the lease had lapsed; taking the shards anew", shards=len(mine))
            self._observer.lease_lapsed(len(mine))
            taken = await self._call(self._store.take_shards(mine, self.id))
            kept = {shard.first_slot: shard for shard in taken}
        unsure = {shard.first_slot: shard._replace(owner="") for shard in mine}
        known = {**unsure, **kept}
        return rows._replace(shards=[known.get(shard.first_slot, shard) for shard in shown])

    def _lose(self) -> None:
        """Owns nothing any more, and gets ready to register under another id."""
        self._lease.end()
        self._registered = False
        self._log.error("this node was removed by others; registering anew")
        self._observer.node_lost()
        for callback in self._lost_callbacks:
            self._tell(callback)
        self._changes.clear()
        self.node = replace(self.node, id=self._ids.request_id())

    def _note(self, shards: Iterable[Shard]) -> None:
        for shard in shards:
            self._changes.note(shard)
        self._publish(self.view.nodes, self.view.shards)

    def _publish(self, nodes: Iterable[NodeRow], shards: Iterable[Shard]) -> None:
        """Makes a view, and hands it out when it differs from the one before."""
        # A reading may still have the state from before `drain`.
        state = self.node.state
        own = (replace(node, state=state) if node.id == self.id else node for node in nodes)
        view = ClusterView(own, self._changes.overlay(shards), earlier=self.view)
        if view == self.view:
            return
        if view.nodes != self.view.nodes:
            self._log.info("membership changed", nodes=[node.name for node in view.nodes])
        self.view = view
        self._observer.membership_changed(view)
        for callback in self._view_callbacks:
            self._tell(callback, view)

    def _tell(self, callback: Callable[[Unpack[Ts]], None], *args: *Ts) -> None:
        try:
            callback(*args)
        except Exception as error:  # noqa: BLE001 - one role's defect must not cost the lease
            self._log.error("a subscriber of the membership failed", exc_info=error)

    def _renewal_failed(self, error: Exception, failures: int) -> None:
        self._observer.lease_failed(error)
        if failures == 1:
            self._log.warning("could not renew the lease; trying again", error=str(error))

    async def _call(self, call: Coroutine[Any, Any, T]) -> T:
        """Awaits a call to the store, for a bounded time.

        Raises:
            UnknownOutcome: It took too long.
        """
        seconds = self._settings.call_timeout
        try:
            async with asyncio.timeout(seconds):
                return await call
        except TimeoutError as error:
            raise UnknownOutcome(f"the store has not answered within {seconds:g} s") from error


def _goes_on(earlier: NodeRow | None, later: NodeRow) -> bool:
    """Tells whether a node has renewed its lease between two looks, and is not about to leave."""
    return (
        earlier is not None
        and earlier.id == later.id
        and later.renewed > earlier.renewed
        and later.state is NodeState.UP
    )
