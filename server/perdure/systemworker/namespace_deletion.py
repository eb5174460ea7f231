"""Ends namespaces that were deleted: first their workflows, then they themselves.

    registered ── DeleteNamespace ─► deleted, renamed ── no run is left, delay passed ─► gone

All that there is to know is in the namespace's row, so that any node goes on where another one
stopped. Rules that hold here: a namespace goes only when a whole pass over it has found no run, and
no sooner than `settling` after its deletion, when every node knows of it.
"""

import asyncio

from perdure.core.errors import ServiceError
from perdure.persistence.ports import StoreError
from perdure.rpc.clients import Namespace
from perdure.rpc.namespace_deletion import deletion_of, empty_since, is_deleted
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.runtime.ports import Clock
from perdure.runtime.tasks import TaskSet
from perdure.systemworker.deleting import RunDeleter
from perdure.systemworker.ports import LooksAfter
from perdure.systemworker.settings import NANOSECONDS


class NamespaceDeletion:
    """Looks for deleted namespaces and ends them, one after the other."""

    def __init__(
        self,
        *,
        namespaces: NamespaceRegistry,
        deleter: RunDeleter,
        clock: Clock,
        period_seconds: float,
        settling_seconds: float,
        looks_after: LooksAfter,
    ) -> None:
        """Makes it; `start` begins.

        Args:
            namespaces: Which exist.
            deleter: Deletes their runs.
            clock: Tells whether their time has come.
            period_seconds: How often it looks.
            settling_seconds: How long a deleted namespace is kept at least.
            looks_after: Tells which namespaces are this node's.
        """
        self._namespaces = namespaces
        self._deleter = deleter
        self._clock = clock
        self._period_seconds = period_seconds
        self._settling = int(settling_seconds * NANOSECONDS)
        self._looks_after = looks_after

    def start(self, tasks: TaskSet) -> None:
        """Begins; it goes on until the tasks are closed."""
        tasks.spawn("delete-namespaces", self._look_forever())

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(self._period_seconds)
            for row in self._namespaces.rows():
                namespace = Namespace(row.id, row.name)
                if is_deleted(row) and self._looks_after(namespace.id):
                    await self._go_on(namespace)

    async def _go_on(self, namespace: Namespace) -> None:
        try:
            if await self._deleter.delete(namespace, None) == 0:
                await self._end(namespace)
        except (ServiceError, StoreError):
            # It goes on in the next round.
            return

    async def _end(self, namespace: Namespace) -> None:
        """Removes a namespace without runs, when its time has come."""
        if self._namespaces.find(namespace.name) is None:
            return
        deletion = deletion_of(self._namespaces.describe(namespace))
        now = self._clock.now()
        if now < deletion.requested + self._settling:
            return
        if deletion.delay and not deletion.emptied:
            await self._namespaces.update(namespace, lambda current: empty_since(current, now))
        elif now >= deletion.emptied + deletion.delay:
            await self._namespaces.remove(namespace)
