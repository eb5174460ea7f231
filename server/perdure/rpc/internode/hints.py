"""Hints to other nodes: buffered, sent in batches, acknowledged.

Theory of operation: a hint says that a task's row is there; who misses it reads the row later. So
hints may be lost, and are only tried a few times. Each node that hints go to has a buffer and,
while that is not empty, a background task that sends what is in it. What a node did not take is
sorted anew by the owners as they are then. Hints whose owner nobody knows wait in a buffer of their
own.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from perdure.core.commit import DispatchTask
from perdure.core.errors import ServiceError
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.routing import Directory, Node, backoff_of
from perdure.rpc.internode.settings import InternodeSettings
from perdure.runtime.ports import Ids
from perdure.runtime.tasks import TaskSet

Acknowledged = Callable[[Sequence[DispatchTask], Sequence[int]], Awaitable[None]]
"""Gets the tasks of a batch, and the places of sticky ones whose queue nobody has polled lately."""

_NOBODY: Final = ""


class _Hint(NamedTuple):
    task: DispatchTask
    attempts: int


class _Buffer:
    __slots__ = ("hints", "node")

    def __init__(self, node: Node | None) -> None:
        self.node = node
        self.hints: deque[_Hint] = deque()


class Hints:
    """Brings hints to the nodes that own their queues.

    Attributes:
        sent: How many hints other nodes have taken.
        retried: How many were not taken at once, every failed try counted.
        dropped: How many were given up.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        peers: Peers,
        deliver: Callable[[Sequence[DispatchTask]], None] | None,
        acknowledged: Acknowledged,
        tasks: TaskSet,
        ids: Ids,
        settings: InternodeSettings,
    ) -> None:
        """Starts without hints.

        Args:
            directory: Who owns queues.
            peers: Reaches them.
            deliver: Takes hints for queues of this node; None when it has no queues.
            acknowledged: Awaited for each batch that was taken.
            tasks: Runs what sends.
            ids: Where jitter comes from.
            settings: Bounds.
        """
        self.sent = 0
        self.retried = 0
        self.dropped = 0
        self._directory = directory
        self._peers = peers
        self._deliver = deliver
        self._acknowledged = acknowledged
        self._tasks = tasks
        self._ids = ids
        self._settings = settings
        self._backoff = backoff_of(settings)
        self._buffers: dict[str, _Buffer] = {}
        self._closed = False

    def add(self, tasks: Iterable[DispatchTask]) -> None:
        """Takes hints: those for this node are delivered at once."""
        self._sort([_Hint(task, 0) for task in tasks])

    def close(self) -> None:
        """Drops what waits, and whatever is added from now on for other nodes."""
        self._closed = True
        self._buffers.clear()

    def _sort(self, hints: Iterable[_Hint]) -> None:
        own: list[DispatchTask] = []
        own_id = self._directory.own_id
        for hint in hints:
            owner = self._directory.matching_owner(hint.task.key.queue)
            if owner is not None and owner.id == own_id and self._deliver is not None:
                own.append(hint.task)
            else:
                self._put(owner, hint)
        if own and self._deliver is not None:
            self._deliver(own)

    def _put(self, node: Node | None, hint: _Hint) -> None:
        if self._closed or hint.attempts >= self._settings.hint_attempts:
            self.dropped += 1
            return
        name = _NOBODY if node is None else node.id
        buffer = self._buffers.get(name)
        if buffer is None:
            buffer = self._buffers[name] = _Buffer(node)
            self._tasks.spawn(f"send hints to {name or 'whoever it is'}", self._empty(name, buffer))
        if len(buffer.hints) >= self._settings.hints_per_node:
            self.dropped += 1
            return
        buffer.hints.append(hint)

    async def _empty(self, name: str, buffer: _Buffer) -> None:
        """Sends what is in a buffer, until there is nothing; then it is nobody's."""
        try:
            await self._send_all(buffer)
        finally:
            self._buffers.pop(name, None)

    async def _send_all(self, buffer: _Buffer) -> None:
        failures = 0
        while buffer.hints and not self._closed:
            count = min(len(buffer.hints), self._settings.hints_per_batch)
            batch = [buffer.hints.popleft() for _ in range(count)]
            tasks = [hint.task for hint in batch]
            unpolled = await self._send(buffer.node, tasks)
            if unpolled is not None:
                failures = 0
                self.sent += len(batch)
                await self._acknowledged(tasks, unpolled)
                continue
            failures += 1
            self.retried += len(batch)
            self._directory.refresh()
            await self._directory.changed(self._backoff.pause_seconds(failures, self._ids))
            # One that waits for this node again comes behind what has come meanwhile.
            self._sort(_Hint(hint.task, hint.attempts + 1) for hint in batch)

    async def _send(self, node: Node | None, tasks: list[DispatchTask]) -> Sequence[int] | None:
        """Returns the acknowledgement; None when there is none."""
        if node is None:
            return None
        try:
            unpolled: Sequence[int] = await self._peers.matching(node.address).add_tasks(tasks)
        except ServiceError:
            return None
        return unpolled
