"""Which messages are to be sent now: from commits, from the store, and again after failures.

Theory of operation. A durable commit hands its new rows over; a scan of the outbox, whenever shards
are gained and every so often, finds those that an earlier owner left and those that memory had no
room for. What one run sends to one workflow id is a lane: sent one after the other, in the order in
which it was sent. A message whose sending fails is tried again after a pause, for ever: its row is
still there, and so is its sender, who waits. Meanwhile its lane waits with it.

Rules that hold here: a row in memory is one that the store has, or had a moment ago; whoever sends
it finds out. Memory is bounded, in rows and in bytes; what does not fit is read when there is room.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from perdure.core.commit import Commit, MessageKey, MessageRow
from perdure.core.errors import ServiceError
from perdure.core.protobuf import NANOSECONDS_PER_SECOND
from perdure.history.ports import MessageObserver, MessageSettings
from perdure.history.shards import SlotRange
from perdure.persistence.ports import StoreError, WorkflowStore
from perdure.proto import stored_pb2 as stored
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.retry import Backoff
from perdure.runtime.tasks import TaskSet

RETRY = Backoff(initial_seconds=0.1, maximum_seconds=60.0, total_seconds=float("inf"))
RESCAN_SECONDS = 1.0

Lane = tuple[str, str, str]
"""The run that sends, and the namespace and workflow id that it sends to."""
Send = Callable[[MessageRow, stored.Message], Coroutine[Any, Any, None]]


@dataclass(slots=True, eq=False)
class _Waiting:
    """A message that is to be sent, or is being sent."""

    row: MessageRow
    message: stored.Message
    lane: Lane
    failures: int = 0


class MessageQueue:
    """Calls back for each message of the slots that are owned."""

    def __init__(
        self,
        *,
        store: WorkflowStore,
        clock: Clock,
        ids: Ids,
        tasks: TaskSet,
        settings: MessageSettings,
        observer: MessageObserver,
        send: Send,
    ) -> None:
        """Makes an idle queue.

        Args:
            store: Where the rows are.
            clock: Tells which are due.
            ids: Where jitter comes from.
            tasks: Where the background work runs.
            settings: Bounds.
            observer: Told of messages that are sent again.
            send: Sends a message, records what came of it, and deletes its row. It is called again
                after it has raised.
        """
        self._store = store
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._settings = settings
        self._observer = observer
        self._send = send
        self._ranges: Sequence[SlotRange] = ()
        self._known: dict[MessageKey, _Waiting] = {}
        self._bytes = 0
        self._lanes: dict[Lane, deque[_Waiting]] = {}
        self._ready: deque[_Waiting] = deque()
        self._sending = 0
        self._incomplete = False
        self._scan_wanted = asyncio.Event()
        self._scanner: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Returns how many messages are in memory."""
        return len(self._known)

    def start(self, ranges: Sequence[SlotRange]) -> None:
        """Begins to send what some slots have to send; called again when they are others.

        Messages of slots that are not among them are forgotten.
        """
        self._ranges = ranges
        for waiting in list(self._known.values()):
            if not any(first <= waiting.row.key.slot <= last for first, last in ranges):
                self._forget(waiting)
        self._scan_wanted.set()
        if self._scanner is None:
            self._scanner = self._tasks.spawn("scan-messages", self._scan_forever())

    def stop(self) -> None:
        """Forgets what is in memory and sends no more."""
        self._ranges = ()
        for waiting in list(self._known.values()):
            self._forget(waiting)
        if self._scanner is not None:
            self._scanner.cancel()
            self._scanner = None

    def apply(self, commit: Commit) -> None:
        """Takes in what a durable commit has added and deleted."""
        for row in commit.messages_added:
            if self._owns(row.key.slot):
                self._add(row)
        for key in commit.messages_deleted:
            if (waiting := self._known.get(key)) is not None:
                self._forget(waiting)

    # Memory

    def _owns(self, slot: int) -> bool:
        return any(first <= slot <= last for first, last in self._ranges)

    @property
    def _is_full(self) -> bool:
        return (
            len(self._known) >= self._settings.rows_in_memory
            or self._bytes >= self._settings.bytes_in_memory
        )

    @property
    def _is_half_empty(self) -> bool:
        return (
            len(self._known) <= self._settings.rows_in_memory // 2
            and self._bytes <= self._settings.bytes_in_memory // 2
        )

    def _add(self, row: MessageRow) -> None:
        """Takes in a row, unless it is known or memory is full."""
        if row.key in self._known:
            return
        if self._is_full:
            self._incomplete = True
            return
        message = stored.Message.FromString(row.data)
        receiver = (message.namespace_id, message.target.workflow_id)
        waiting = _Waiting(row, message, (row.run.run_id, *receiver))
        self._known[row.key] = waiting
        self._bytes += len(row.data)
        pause = (row.key.due - self._clock.now()) / NANOSECONDS_PER_SECOND
        if pause > 0:
            # The clock has gone back since.
            asyncio.get_running_loop().call_later(pause, self._queue_up, waiting)
        else:
            self._queue_up(waiting)

    def _queue_up(self, waiting: _Waiting) -> None:
        if not self._is_known(waiting):
            return
        lane = self._lanes.setdefault(waiting.lane, deque())
        lane.append(waiting)
        if len(lane) == 1:
            self._make_ready(waiting)

    def _is_known(self, waiting: _Waiting) -> bool:
        return self._known.get(waiting.row.key) is waiting

    def _forget(self, waiting: _Waiting) -> None:
        """Lets a message go; the next one of its lane comes forward."""
        if not self._is_known(waiting):
            return
        del self._known[waiting.row.key]
        self._bytes -= len(waiting.row.data)
        lane = self._lanes.get(waiting.lane)
        if lane is not None and waiting in lane:
            was_first = lane[0] is waiting
            lane.remove(waiting)
            if not lane:
                del self._lanes[waiting.lane]
            elif was_first:
                self._make_ready(lane[0])
        if self._incomplete and self._is_half_empty:
            self._scan_wanted.set()

    # Sending

    def _make_ready(self, waiting: _Waiting) -> None:
        self._ready.append(waiting)
        self._pump()

    def _pump(self) -> None:
        while self._ready and self._sending < self._settings.concurrent:
            self._sending += 1
            self._tasks.spawn("send-message", self._send_one(self._ready.popleft()))

    async def _send_one(self, waiting: _Waiting) -> None:
        try:
            # It may have been forgotten since, with the one before it.
            if self._is_known(waiting):
                await self._send(waiting.row, waiting.message)
        except ServiceError:
            # The receiver's owner or a store is away.
            self._send_later(waiting)
        except Exception:
            # A fault of ours: it is reported, and must not cost the run its message.
            self._send_later(waiting)
            raise
        else:
            self._forget(waiting)
        finally:
            self._sending -= 1
            self._pump()

    def _send_later(self, waiting: _Waiting) -> None:
        if not self._is_known(waiting):
            return
        waiting.failures += 1
        self._observer.message_retried()
        pause = RETRY.pause_seconds(waiting.failures, self._ids)
        asyncio.get_running_loop().call_later(pause, self._again, waiting)

    def _again(self, waiting: _Waiting) -> None:
        if self._is_known(waiting):
            self._make_ready(waiting)

    # The store

    async def _scan_forever(self) -> None:
        while True:
            self._scan_wanted.clear()
            pause = self._settings.scan_seconds
            try:
                await self._scan()
            except StoreError:
                pause = RESCAN_SECONDS
            try:
                async with asyncio.timeout(pause):
                    await self._scan_wanted.wait()
            except TimeoutError:
                continue

    async def _scan(self) -> None:
        """Reads the rows that are due, as far as memory reaches."""
        self._incomplete = False
        for slots in self._ranges:
            await self._scan_slots(slots)

    async def _scan_slots(self, slots: SlotRange) -> None:
        now = self._clock.now() + 1
        after: MessageKey | None = None
        page_rows = self._settings.page_rows
        while True:
            rows = await self._store.read_messages(*slots, now, after, page_rows)
            for row in rows:
                # Meanwhile the slot may have been lost.
                if self._owns(row.key.slot):
                    self._add(row)
            if len(rows) < page_rows or self._is_full:
                self._incomplete = self._incomplete or len(rows) == page_rows
                return
            after = rows[-1].key
