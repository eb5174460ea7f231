"""Deletes runs as they are listed, in small batches and at a bounded pace.

Theory of operation: a listing is sorted by close time, so that what has been closed before some
time is a stretch of its index: it costs what is deleted, and nothing is written beforehand for
when a run will be deleted. A batch's deletions go to history at once, where their transitions share
a transaction; then the pace says how long to rest. Nothing is remembered: whoever goes on after a
crash, on whatever node, finds what is left in the listing.
"""

import asyncio
from collections.abc import Sequence

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import VisibilityRow
from perdure.core.errors import NotFoundError, ServiceError
from perdure.core.visibility.query import Everything
from perdure.persistence.ports import VisibilityCursor, VisibilityStore
from perdure.rpc.clients import Namespace
from perdure.systemworker.ports import DeletionObserver, RunRemover


class RunDeleter:
    """Deletes a stretch of a namespace's listing."""

    def __init__(
        self,
        *,
        visibility: VisibilityStore,
        history: RunRemover,
        observer: DeletionObserver,
        batch: int,
        per_second: int,
    ) -> None:
        """Makes a deleter.

        Args:
            visibility: Where runs are listed.
            history: Deletes them.
            observer: Told of every batch.
            batch: Runs deleted at a time.
            per_second: Most runs deleted per second.
        """
        self._visibility = visibility
        self._history = history
        self._observer = observer
        self._batch = batch
        self._per_second = per_second

    async def delete(self, namespace: Namespace, after: VisibilityCursor | None) -> int:
        """Deletes the runs that are listed after a place; None means all.

        Those that cannot be deleted now are passed over.

        Returns:
            How many runs were found.

        Raises:
            StoreError: The listing cannot be read.
        """
        loop = asyncio.get_running_loop()
        found = 0
        while True:
            began = loop.time()
            rows = await self._visibility.list_workflows(
                namespace.id, Everything(), after, self._batch
            )
            await self._delete_batch(namespace, rows)
            found += len(rows)
            if len(rows) < self._batch:
                return found
            last = rows[-1]
            after = VisibilityCursor(last.close_time, last.start_time, last.run_id)
            await asyncio.sleep(max(0.0, began + len(rows) / self._per_second - loop.time()))

    async def _delete_batch(self, namespace: Namespace, rows: Sequence[VisibilityRow]) -> None:
        gone = sum(await asyncio.gather(*(self._delete_one(namespace, row) for row in rows)))
        if gone:
            self._observer.deleted(namespace.name, gone)
        if failed := len(rows) - gone:
            self._observer.failed(namespace.name, failed)

    async def _delete_one(self, namespace: Namespace, row: VisibilityRow) -> bool:
        request = wf.DeleteWorkflowExecutionRequest(namespace=namespace.name)
        request.workflow_execution.workflow_id = row.workflow_id
        request.workflow_execution.run_id = row.run_id
        try:
            await self._history.delete_workflow_execution(namespace, request)
        except NotFoundError:
            # Somebody else was quicker.
            return True
        except ServiceError:
            return False
        return True
