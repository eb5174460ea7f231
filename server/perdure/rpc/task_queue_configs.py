"""What operators have configured of task queues: a cache over the store's documents.

One document per namespace holds the configurations of its queues: few queues have one. Documents
are replaced by compare-and-set; the cache of one is trusted for `FRESH_SECONDS`, since another node
may change it. Who hands out tasks looks in the cache only, and has it refreshed while it does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from temporalio.api.taskqueue.v1 import message_pb2 as taskqueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import TaskQueueKey
from perdure.core.errors import FailedPreconditionError, UnavailableError
from perdure.core.protobuf import set_timestamp
from perdure.persistence.ports import MetadataStore
from perdure.proto import stored_pb2 as stored
from perdure.runtime.ports import Clock

FRESH_SECONDS: Final = 2.0
MAX_QUEUES: Final = 1_000
"""Of a namespace: its document is read every few seconds by each node that serves its queues."""
_MOST_ATTEMPTS: Final = 10


@dataclass(slots=True, frozen=True)
class _Entry:
    version: int
    document: stored.TaskQueueConfigs
    read_at: float


class TaskQueueConfigs:
    """Finds and changes the configurations of queues."""

    def __init__(self, *, metadata: MetadataStore, clock: Clock) -> None:
        self._metadata = metadata
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    def rate(self, queue: TaskQueueKey) -> float | None:
        """Returns how many tasks a queue may hand out per second, as far as the cache says.

        None where no operator has said.
        """
        entry = self._entries.get(queue.namespace_id)
        if entry is None:
            return None
        key = _key(int(queue.task_type), queue.name)
        limit = _config(entry.document, key).queue_rate_limit
        return limit.rate_limit.requests_per_second if limit.HasField("rate_limit") else None

    async def refresh(self, namespace_ids: Iterable[str]) -> None:
        """Reads what is configured in some namespaces, where it may be out of date."""
        for namespace_id in namespace_ids:
            await self._fresh(namespace_id)

    async def config(
        self, namespace_id: str, task_type: int, name: str
    ) -> taskqueue.TaskQueueConfig:
        """Returns a queue's configuration; an empty one where there is none."""
        entry = await self._fresh(namespace_id)
        return _config(entry.document, _key(task_type, name))

    async def update(
        self, namespace_id: str, request: wf.UpdateTaskQueueConfigRequest
    ) -> taskqueue.TaskQueueConfig:
        """Changes the rate limit of a queue, if the request says so; returns what is configured.

        Raises:
            FailedPreconditionError: Too many queues of the namespace have a limit.
            UnavailableError: Others changed the namespace's queues all the time.
        """
        key = _key(request.task_queue_type, request.task_queue)
        for _ in range(_MOST_ATTEMPTS):
            entry = await self._read(namespace_id)
            if not request.HasField("update_queue_rate_limit"):
                return _config(entry.document, key)
            document = stored.TaskQueueConfigs()
            document.CopyFrom(entry.document)
            limit = document.configs[key].queue_rate_limit
            limit.Clear()
            update = request.update_queue_rate_limit
            if update.HasField("rate_limit"):
                limit.rate_limit.CopyFrom(update.rate_limit)
            limit.metadata.reason = update.reason
            limit.metadata.update_identity = request.identity
            set_timestamp(limit.metadata.update_time, self._clock.now())
            _bound(document)
            written = await self._metadata.put_document(
                _document_name(namespace_id), entry.version + 1, document.SerializeToString()
            )
            if written:
                await self._read(namespace_id)
                return _config(document, key)
        raise UnavailableError("task queues are being configured by others, try again")

    async def _fresh(self, namespace_id: str) -> _Entry:
        entry = self._entries.get(namespace_id)
        if entry is None or self._clock.monotonic() - entry.read_at >= FRESH_SECONDS:
            entry = await self._read(namespace_id)
        return entry

    async def _read(self, namespace_id: str) -> _Entry:
        read_at = self._clock.monotonic()
        found = await self._metadata.get_document(_document_name(namespace_id))
        version, data = found or (0, b"")
        entry = _Entry(version, stored.TaskQueueConfigs.FromString(data), read_at)
        self._entries[namespace_id] = entry
        return entry


def _bound(document: stored.TaskQueueConfigs) -> None:
    """Forgets who removed which limit when there is no more room for that."""
    if len(document.configs) <= MAX_QUEUES:
        return
    for key in sorted(document.configs):
        if not document.configs[key].queue_rate_limit.HasField("rate_limit"):
            del document.configs[key]
    if len(document.configs) > MAX_QUEUES:
        raise FailedPreconditionError(
            f"{MAX_QUEUES} task queues of the namespace have a rate limit: remove some first"
        )


def _config(document: stored.TaskQueueConfigs, key: str) -> taskqueue.TaskQueueConfig:
    return document.configs[key] if key in document.configs else taskqueue.TaskQueueConfig()


def _key(task_type: int, name: str) -> str:
    return f"{task_type}/{name}"


def _document_name(namespace_id: str) -> str:
    return f"task-queue-configs/{namespace_id}"
