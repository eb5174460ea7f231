"""What operators see of task queues."""

from collections.abc import Mapping

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.frontend.gates import NamespaceGate
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.validation.task_queues import check_task_queue
from perdure.rpc.clients import MatchingClient
from perdure.rpc.handler import Handler, RequestContext


class TaskQueues:
    """Handles DescribeTaskQueue and ListTaskQueuePartitions."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        matching: MatchingClient,
        settings: FrontendSettings,
        host_name: str,
    ) -> None:
        self._namespaces = namespaces
        self._matching = matching
        self._settings = settings
        self._host_name = host_name

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "DescribeTaskQueue": self.describe,
            "ListTaskQueuePartitions": self.list_partitions,
        }

    async def describe(
        self, request: wf.DescribeTaskQueueRequest, _context: RequestContext
    ) -> wf.DescribeTaskQueueResponse:
        """Returns pollers and statistics."""
        namespace = await self._namespaces.enter(request.namespace)
        self._check(request)
        return await self._matching.describe_task_queue(namespace, request)

    async def list_partitions(
        self, request: wf.ListTaskQueuePartitionsRequest, _context: RequestContext
    ) -> wf.ListTaskQueuePartitionsResponse:
        """Returns a queue's partitions, by the names that the real server gives them.

        Workers poll frontends only, so this one is named as the host of all of them.
        """
        await self._namespaces.enter(request.namespace)
        self._check(request)
        name = request.task_queue.name
        others = range(1, self._settings.task_queue_partitions)
        response = wf.ListTaskQueuePartitionsResponse()
        for key in (name, *(f"/_sys/{name}/{number}" for number in others)):
            for partitions in (
                response.activity_task_queue_partitions,
                response.workflow_task_queue_partitions,
            ):
                partitions.add(key=key, owner_host_name=self._host_name)
        return response

    def _check(
        self, request: wf.DescribeTaskQueueRequest | wf.ListTaskQueuePartitionsRequest
    ) -> None:
        check_task_queue(
            request.task_queue,
            is_set=request.HasField("task_queue"),
            max_bytes=self._settings.max_id_bytes,
        )
