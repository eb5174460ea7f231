"""What is known of the workers of namespaces: their heartbeats, listed, counted and described.

In a cluster the workers of a namespace are known to one node, the one that serves a queue of the
namespace that stands for them and that nobody polls. When another node takes that over it learns
of the workers by their next heartbeats.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

from google.protobuf.message import DecodeError
from temporalio.api.worker.v1 import message_pb2 as worker
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.core.matching.worker_query import worker_filter
from perdure.core.matching.worker_registry import WorkerRegistry, first_page
from perdure.proto import stored_pb2 as stored

MAX_PAGE: Final = 1_000
SYSTEM_QUEUES: Final = "temporal-sys-"
"""Begins the names of the queues that the server's own workers poll."""

_LIST_FIELDS: Final = worker.WorkerListInfo.DESCRIPTOR.fields_by_name
_SHARED_FIELDS: Final = tuple(
    name for name in _LIST_FIELDS if name in worker.WorkerHeartbeat.DESCRIPTOR.fields_by_name
)


class Workers:
    """Answers what is asked about workers.

    Attributes:
        registry: What is known.
    """

    def __init__(self, *, seconds: float, capacity: int) -> None:
        """Knows of none; the arguments are the registry's."""
        self.registry = WorkerRegistry(seconds=seconds, capacity=capacity)

    def record(
        self, namespace_id: str, request: wf.RecordWorkerHeartbeatRequest
    ) -> wf.RecordWorkerHeartbeatResponse:
        """Takes heartbeats."""
        self.registry.record(namespace_id, request.worker_heartbeat, _now())
        return wf.RecordWorkerHeartbeatResponse()

    def list(self, namespace_id: str, request: wf.ListWorkersRequest) -> wf.ListWorkersResponse:
        """Returns a page of workers, ordered by their instance keys."""
        after = _read_token(request.next_page_token) if request.next_page_token else None
        size = request.page_size if 0 < request.page_size <= MAX_PAGE else MAX_PAGE
        page, more = first_page(self._found(namespace_id, request), after, size)
        response = wf.ListWorkersResponse()
        for heartbeat in page:
            response.workers_info.add().worker_heartbeat.CopyFrom(heartbeat)
            _fill(response.workers.add(), heartbeat)
        if more:
            token = stored.WorkerPageToken(last_instance_key=page[-1].worker_instance_key)
            response.next_page_token = token.SerializeToString()
        return response

    def describe(
        self, namespace_id: str, request: wf.DescribeWorkerRequest
    ) -> wf.DescribeWorkerResponse:
        """Returns what a worker said last."""
        heartbeat = self.registry.find(namespace_id, request.worker_instance_key, _now())
        if heartbeat is None:
            raise NotFoundError(f"Worker {request.worker_instance_key} not found")
        return wf.DescribeWorkerResponse(worker_info=worker.WorkerInfo(worker_heartbeat=heartbeat))

    def count(self, namespace_id: str, request: wf.CountWorkersRequest) -> wf.CountWorkersResponse:
        """Returns how many workers there are."""
        return wf.CountWorkersResponse(count=sum(1 for _ in self._found(namespace_id, request)))

    def _found(
        self, namespace_id: str, request: wf.ListWorkersRequest | wf.CountWorkersRequest
    ) -> Iterator[worker.WorkerHeartbeat]:
        fits = worker_filter(request.query)
        for heartbeat in self.registry.of_namespace(namespace_id, _now()):
            is_system = heartbeat.task_queue.startswith(SYSTEM_QUEUES)
            if (request.include_system_workers or not is_system) and fits(heartbeat):
                yield heartbeat


def _now() -> float:
    return asyncio.get_running_loop().time()


def _fill(info: worker.WorkerListInfo, heartbeat: worker.WorkerHeartbeat) -> None:
    for name in _SHARED_FIELDS:
        value, field = (
            getattr(heartbeat, name),
            worker.WorkerListInfo.DESCRIPTOR.fields_by_name[name],
        )
        if field.is_repeated:
            getattr(info, name).extend(value)
        elif field.message_type is None:
            setattr(info, name, value)
        elif heartbeat.HasField(name):  # type: ignore[arg-type]
            getattr(info, name).CopyFrom(value)
    host = heartbeat.host_info
    info.host_name, info.process_id = host.host_name, host.process_id
    info.worker_grouping_key = host.worker_grouping_key


def _read_token(token: bytes) -> str:
    try:
        return stored.WorkerPageToken.FromString(token).last_instance_key
    except DecodeError:
        raise InvalidArgumentError("invalid next_page_token") from None
