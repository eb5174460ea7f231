"""Deletes closed runs when their namespace does not keep them any longer.

Rules that hold here: the retention that counts is the namespace's as it is now, so that it may be
changed at any time, for runs that have closed already too. A closed run never opens again and its
id is never another's, so that a run that was found expired may be deleted whenever that succeeds.
"""

import asyncio

from perdure.persistence.ports import StoreError, VisibilityCursor
from perdure.rpc.clients import Namespace
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.tasks import TaskSet
from perdure.systemworker.deleting import RunDeleter
from perdure.systemworker.ports import LooksAfter
from perdure.systemworker.settings import NANOSECONDS


class RetentionSweep:
    """Goes over the namespaces that this node looks after, every so often."""

    def __init__(
        self,
        *,
        namespaces: NamespaceRegistry,
        deleter: RunDeleter,
        clock: Clock,
        ids: Ids,
        period_seconds: float,
        looks_after: LooksAfter,
    ) -> None:
        """Makes it; `start` begins.

        Args:
            namespaces: Which exist, and for how long they keep closed runs.
            deleter: Deletes what has expired.
            clock: Tells what has.
            ids: Where jitter comes from.
            period_seconds: How long it rests after each round, give or take a tenth.
            looks_after: Tells which namespaces are this node's.
        """
        self._namespaces = namespaces
        self._deleter = deleter
        self._clock = clock
        self._ids = ids
        self._period_seconds = period_seconds
        self._looks_after = looks_after

    def start(self, tasks: TaskSet) -> None:
        """Begins; it goes on until the tasks are closed."""
        tasks.spawn("sweep-retention", self._sweep_forever())

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._period_seconds * (0.9 + 0.2 * self._ids.random()))
            for row in self._namespaces.rows():
                namespace = Namespace(row.id, row.name)
                if self._looks_after(namespace.id) and self._namespaces.find(namespace.name):
                    await self._sweep(namespace)

    async def _sweep(self, namespace: Namespace) -> None:
        config = self._namespaces.describe(namespace).config
        kept = config.workflow_execution_retention_ttl.seconds * NANOSECONDS
        if not kept:
            return
        expired = VisibilityCursor(self._clock.now() - kept, 0, "")
        try:
            await self._deleter.delete(namespace, expired)
        except StoreError:
            # What has expired can wait for the next round.
            return
