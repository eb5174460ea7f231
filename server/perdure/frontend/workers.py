"""Workers that say that they are alive, and what operators see of them."""

from collections.abc import Mapping

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.frontend.gates import NamespaceGate
from perdure.rpc.clients import MatchingClient
from perdure.rpc.handler import Handler, RequestContext


class Workers:
    """Handles RecordWorkerHeartbeat, ListWorkers, DescribeWorker and CountWorkers."""

    def __init__(self, *, namespaces: NamespaceGate, matching: MatchingClient) -> None:
        self._namespaces = namespaces
        self._matching = matching

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "RecordWorkerHeartbeat": self.record_heartbeat,
            "ListWorkers": self.list,
            "DescribeWorker": self.describe,
            "CountWorkers": self.count,
        }

    async def record_heartbeat(
        self, request: wf.RecordWorkerHeartbeatRequest, _context: RequestContext
    ) -> wf.RecordWorkerHeartbeatResponse:
        """Takes heartbeats."""
        namespace = await self._namespaces.enter(request.namespace)
        return await self._matching.record_worker_heartbeat(namespace, request)

    async def list(
        self, request: wf.ListWorkersRequest, _context: RequestContext
    ) -> wf.ListWorkersResponse:
        """Returns a page of workers."""
        namespace = await self._namespaces.enter(request.namespace)
        return await self._matching.list_workers(namespace, request)

    async def describe(
        self, request: wf.DescribeWorkerRequest, _context: RequestContext
    ) -> wf.DescribeWorkerResponse:
        """Returns what a worker said last."""
        namespace = await self._namespaces.enter(request.namespace)
        return await self._matching.describe_worker(namespace, request)

    async def count(
        self, request: wf.CountWorkersRequest, _context: RequestContext
    ) -> wf.CountWorkersResponse:
        """Returns how many workers there are."""
        namespace = await self._namespaces.enter(request.namespace)
        return await self._matching.count_workers(namespace, request)
