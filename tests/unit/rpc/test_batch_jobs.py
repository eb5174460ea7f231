"""Jobs as documents of the store: ids, limits, and who changes them at the same time."""

import asyncio
import random

import pytest
from temporalio.api.enums.v1 import BatchOperationState

from perdure.core.errors import (
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
    WorkflowExecutionAlreadyStartedError,
)
from perdure.persistence.memory.store import MemoryStore
from perdure.proto import stored_pb2 as stored
from perdure.rpc.batch_jobs import MAX_JOBS, RUNNING, BatchJobs
from perdure.runtime.deterministic import ManualClock, SeededIds

COMPLETED = BatchOperationState.BATCH_OPERATION_STATE_COMPLETED


def fresh() -> BatchJobs:
    clock = ManualClock()
    store = MemoryStore(ids=SeededIds(generator=random.Random(1), clock=clock))
    return BatchJobs(metadata=store, clock=clock)


def new(job_id: str) -> stored.BatchJob:
    job = stored.BatchJob(state=RUNNING, run_id=f"run of {job_id}")
    job.request.job_id = job_id
    return job


async def end(jobs: BatchJobs, job: stored.BatchJob) -> None:
    job.state = COMPLETED
    assert await jobs.save("ns", job)


async def test_an_id_is_used_once() -> None:
    jobs, job = fresh(), new("a")
    await jobs.start("ns", job, most_running=2)
    with pytest.raises(WorkflowExecutionAlreadyStartedError, match="already running"):
        await jobs.start("ns", new("a"), most_running=2)
    await end(jobs, job)
    with pytest.raises(WorkflowExecutionAlreadyStartedError, match="already finished"):
        await jobs.start("ns", new("a"), most_running=2)
    await jobs.start("other", new("a"), most_running=1)


async def test_so_many_run_at_a_time() -> None:
    jobs = fresh()
    await jobs.start("ns", new("a"), most_running=1)
    with pytest.raises(ResourceExhaustedError, match="Max concurrent batch"):
        await jobs.start("ns", new("b"), most_running=1)
    await jobs.stop("ns", "a")
    await jobs.start("ns", new("b"), most_running=1)
    assert [job.request.job_id for job in await jobs.newest_first("ns")] == ["b", "a"]


async def test_a_job_that_has_ended_is_neither_stopped_nor_saved() -> None:
    jobs, job = fresh(), new("a")
    await jobs.start("ns", job, most_running=1)
    await jobs.stop("ns", "a")
    with pytest.raises(NotFoundError, match="already completed"):
        await jobs.stop("ns", "a")
    assert not await jobs.save("ns", job)
    with pytest.raises(NotFoundError, match="workflow not found for ID: b"):
        await jobs.stop("ns", "b")


async def test_the_oldest_that_have_ended_go() -> None:
    jobs = fresh()
    await jobs.start("ns", new("runs"), most_running=2)
    for number in range(MAX_JOBS + 5):
        job = new(f"{number}")
        await jobs.start("ns", job, most_running=2)
        await end(jobs, job)
    kept = [job.request.job_id for job in await jobs.newest_first("ns")]
    assert len(kept) == MAX_JOBS
    assert kept[-1] == "runs"
    assert kept[0] == f"{MAX_JOBS + 4}"


async def test_changes_at_the_same_time_are_all_made() -> None:
    jobs = fresh()
    starts = [jobs.start("ns", new(f"{number}"), most_running=9) for number in range(9)]
    results = await asyncio.gather(*starts, return_exceptions=True)
    assert results.count(None) == 9
    assert len(await jobs.running("ns")) == 9
    assert await jobs.active() == ["ns"]


async def test_it_is_given_up_when_others_always_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = fresh()

    async def never(*_: object) -> bool:
        return False

    monkeypatch.setattr(jobs._metadata, "put_document", never)
    with pytest.raises(UnavailableError):
        await jobs.start("ns", new("a"), most_running=1)
