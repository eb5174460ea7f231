"""What operators see of task queues, and configure."""

from collections.abc import Mapping

from temporalio.api.enums.v1.task_queue_pb2 import (
    DESCRIBE_TASK_QUEUE_MODE_ENHANCED,
    RATE_LIMIT_SOURCE_API,
    TASK_QUEUE_TYPE_WORKFLOW,
)
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.frontend.gates import NamespaceGate
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.task_queue_versions import asked_of_matching, described
from perdure.frontend.validation.queue_configs import check_queue_config
from perdure.frontend.validation.task_queues import check_task_queue
from perdure.rpc.clients import MatchingClient, Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.task_queue_configs import TaskQueueConfigs


class TaskQueues:
    """Handles DescribeTaskQueue, ListTaskQueuePartitions and UpdateTaskQueueConfig."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        matching: MatchingClient,
        configs: TaskQueueConfigs,
        settings: FrontendSettings,
        host_name: str,
    ) -> None:
        self._namespaces = namespaces
        self._matching = matching
        self._configs = configs
        self._settings = settings
        self._host_name = host_name

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "DescribeTaskQueue": self.describe,
            "ListTaskQueuePartitions": self.list_partitions,
            "UpdateTaskQueueConfig": self.update_config,
        }

    async def describe(
        self, request: wf.DescribeTaskQueueRequest, _context: RequestContext
    ) -> wf.DescribeTaskQueueResponse:
        """Returns pollers and statistics."""
        namespace = await self._namespaces.enter(request.namespace)
        self._check(request)
        if request.api_mode == DESCRIBE_TASK_QUEUE_MODE_ENHANCED:
            asked = asked_of_matching(request)
            if asked is None:
                return described(request, None)
            found = await self._matching.describe_task_queue(namespace, asked)
            return described(request, found)
        response = await self._matching.describe_task_queue(namespace, request)
        await self._add_config(response, namespace, request)
        return response

    async def _add_config(
        self,
        response: wf.DescribeTaskQueueResponse,
        namespace: Namespace,
        request: wf.DescribeTaskQueueRequest,
    ) -> None:
        task_type = request.task_queue_type or TASK_QUEUE_TYPE_WORKFLOW
        config = await self._configs.config(namespace.id, task_type, request.task_queue.name)
        if request.report_config and config.ByteSize():
            response.config.CopyFrom(config)
        if config.queue_rate_limit.HasField("rate_limit"):
            rate = config.queue_rate_limit.rate_limit.requests_per_second
            response.effective_rate_limit.requests_per_second = rate
            response.effective_rate_limit.rate_limit_source = RATE_LIMIT_SOURCE_API

    async def update_config(
        self, request: wf.UpdateTaskQueueConfigRequest, _context: RequestContext
    ) -> wf.UpdateTaskQueueConfigResponse:
        """Sets or removes the rate limit of a queue of activities."""
        namespace = await self._namespaces.enter(request.namespace)
        check_queue_config(request, self._settings.max_id_bytes)
        config = await self._configs.update(namespace.id, request)
        response = wf.UpdateTaskQueueConfigResponse()
        if config.ByteSize():
            response.config.CopyFrom(config)
        return response

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
