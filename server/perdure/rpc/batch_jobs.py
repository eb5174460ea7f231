"""Operations on many workflows: the jobs that clients have started, as documents of the store.

One document per namespace holds its jobs: that which runs and those that have ended, as many as are
kept. Another one says which namespaces have a job that runs, so that nobody has to look at all.
Documents are replaced by compare-and-set. A namespace is noted before its job is written, and
struck out only when none of its jobs runs: a crash in between leaves a note too many, never one too
few.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from google.protobuf.message import Message
from temporalio.api.enums.v1 import batch_operation_pb2 as enums
from temporalio.api.enums.v1 import failed_cause_pb2 as causes

from perdure.core.errors import (
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
    WorkflowExecutionAlreadyStartedError,
)
from perdure.persistence.ports import MetadataStore
from perdure.proto import stored_pb2 as stored
from perdure.runtime.ports import Clock

RUNNING: Final = enums.BATCH_OPERATION_STATE_RUNNING
MAX_JOBS: Final = 100
"""Of a namespace: what has ended goes, the oldest first."""
SETTLING: Final = 60_000_000_000
"""How long a note without a job is kept, in nanoseconds: its job may still be written."""
_MOST_ATTEMPTS: Final = 20
_ACTIVE: Final = "batch-jobs"
_Document = TypeVar("_Document", bound=Message)
_Result = TypeVar("_Result")


class BatchJobs:
    """Finds and changes jobs."""

    def __init__(self, *, metadata: MetadataStore, clock: Clock) -> None:
        self._metadata = metadata
        self._clock = clock

    async def start(self, namespace_id: str, job: stored.BatchJob, *, most_running: int) -> None:
        """Writes a new job, which begins soon.

        Raises:
            WorkflowExecutionAlreadyStartedError: There is one with its id.
            ResourceExhaustedError: As many run as may.
            UnavailableError: Others changed the namespace's jobs all the time.
        """

        def add(document: stored.BatchJobs) -> None:
            running = sum(each.state == RUNNING for each in document.jobs)
            for each in document.jobs:
                if each.request.job_id == job.request.job_id:
                    raise _already_started(each)
            if running >= most_running:
                raise ResourceExhaustedError(
                    "Max concurrent batch operations is reached",
                    causes.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT,
                )
            document.jobs.append(job)
            _bound(document)

        add(await self._jobs(namespace_id))
        await self._change(_ACTIVE, stored.ActiveBatchJobs, self._note(namespace_id))
        await self._change(_name(namespace_id), stored.BatchJobs, add)

    def _note(self, namespace_id: str) -> Callable[[stored.ActiveBatchJobs], None]:
        def note(document: stored.ActiveBatchJobs) -> None:
            document.namespaces[namespace_id] = self._clock.now()

        return note

    async def newest_first(self, namespace_id: str) -> list[stored.BatchJob]:
        """Returns the jobs of a namespace, newest first."""
        return list(reversed((await self._jobs(namespace_id)).jobs))

    async def find(self, namespace_id: str, job_id: str) -> stored.BatchJob:
        """Returns a job. Raises NotFoundError."""
        return _find(await self._jobs(namespace_id), job_id)

    async def stop(self, namespace_id: str, job_id: str) -> None:
        """Ends a job that runs; what it is doing at the moment it finishes.

        Raises:
            NotFoundError: There is none, or it has ended.
            UnavailableError: Others changed the namespace's jobs all the time.
        """

        def end(document: stored.BatchJobs) -> None:
            job = _find(document, job_id)
            if job.state != RUNNING:
                raise NotFoundError("workflow execution already completed")
            job.state = enums.BATCH_OPERATION_STATE_FAILED
            job.close_time = self._clock.now()

        await self._change(_name(namespace_id), stored.BatchJobs, end)

    async def save(self, namespace_id: str, job: stored.BatchJob) -> bool:
        """Writes how far a job is; False when it does not run any more.

        Raises UnavailableError: Others changed the namespace's jobs all the time.
        """

        def replace(document: stored.BatchJobs) -> bool:
            for each in document.jobs:
                if each.request.job_id == job.request.job_id and each.state == RUNNING:
                    each.CopyFrom(job)
                    return True
            return False

        return await self._change(_name(namespace_id), stored.BatchJobs, replace)

    async def active(self) -> list[str]:
        """Returns the ids of the namespaces that have jobs that run, or may soon."""
        _, document = await self._read(_ACTIVE, stored.ActiveBatchJobs)
        return sorted(document.namespaces)

    async def running(self, namespace_id: str) -> list[stored.BatchJob]:
        """Returns the jobs of a namespace that run; without any its note goes."""
        running = [job for job in (await self._jobs(namespace_id)).jobs if job.state == RUNNING]
        if not running:
            settled = self._clock.now() - SETTLING

            def strike(document: stored.ActiveBatchJobs) -> None:
                if document.namespaces.get(namespace_id, settled) < settled:
                    del document.namespaces[namespace_id]

            await self._change(_ACTIVE, stored.ActiveBatchJobs, strike)
        return running

    async def _jobs(self, namespace_id: str) -> stored.BatchJobs:
        return (await self._read(_name(namespace_id), stored.BatchJobs))[1]

    async def _change(
        self, name: str, kind: type[_Document], change: Callable[[_Document], _Result]
    ) -> _Result:
        for _ in range(_MOST_ATTEMPTS):
            version, document = await self._read(name, kind)
            before = document.SerializeToString(deterministic=True)
            result = change(document)
            after = document.SerializeToString(deterministic=True)
            if after == before or await self._metadata.put_document(name, version + 1, after):
                return result
        raise UnavailableError("batch operations are being changed by others, try again")

    async def _read(self, name: str, kind: type[_Document]) -> tuple[int, _Document]:
        version, data = await self._metadata.get_document(name) or (0, b"")
        return version, kind.FromString(data)


def _find(document: stored.BatchJobs, job_id: str) -> stored.BatchJob:
    for job in document.jobs:
        if job.request.job_id == job_id:
            return job
    # On the real server a job is a workflow.
    raise NotFoundError(f"workflow not found for ID: {job_id}")


def _already_started(job: stored.BatchJob) -> WorkflowExecutionAlreadyStartedError:
    where = f"WorkflowId: {job.request.job_id}, RunId: {job.run_id}."
    message = (
        f"Workflow execution is already running. {where}"
        if job.state == RUNNING
        else f"Workflow execution already finished. {where} "
        "Workflow Id reuse policy: reject duplicate workflow Id."
    )
    return WorkflowExecutionAlreadyStartedError(
        message,
        start_request_id=job.start_request_id,
        run_id=job.run_id,
        first_run_id=job.run_id,
    )


def _bound(document: stored.BatchJobs) -> None:
    """Lets the oldest jobs go that have ended, where there are too many."""
    for job in list(document.jobs):
        if len(document.jobs) <= MAX_JOBS:
            return
        if job.state != RUNNING:
            document.jobs.remove(job)


def _name(namespace_id: str) -> str:
    return f"batch-jobs/{namespace_id}"
