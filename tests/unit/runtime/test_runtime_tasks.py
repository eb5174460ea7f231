"""Background tasks: supervised, drained, cancelled."""

import asyncio

import pytest

from perdure.runtime.tasks import TaskSet

Errors = list[tuple[str, BaseException]]


@pytest.fixture
def errors() -> Errors:
    return []


@pytest.fixture
def tasks(errors: Errors) -> TaskSet:
    return TaskSet(on_error=lambda name, error: errors.append((name, error)))


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_task_returns_its_result_and_is_forgotten(tasks: TaskSet) -> None:
    async def answer() -> int:
        return 42

    task = tasks.spawn("answer", answer())
    assert tasks.names == ["answer"]
    assert await task == 42
    assert len(tasks) == 0


async def test_an_exception_is_reported_with_the_name(tasks: TaskSet, errors: Errors) -> None:
    problem = ValueError("broken")

    async def fail() -> None:
        raise problem

    task = tasks.spawn("failing", fail())
    await asyncio.wait([task])
    assert errors == [("failing", problem)]


async def test_close_cancels_what_has_not_ended(tasks: TaskSet, errors: Errors) -> None:
    stuck = tasks.spawn("stuck", forever())
    await tasks.close()
    assert stuck.cancelled()
    assert errors == []
    assert len(tasks) == 0


async def test_close_lets_tasks_drain(tasks: TaskSet) -> None:
    gate = asyncio.Event()
    ended = []

    async def child() -> None:
        ended.append("child")

    async def parent() -> None:
        await gate.wait()
        tasks.spawn("child", child())
        ended.append("parent")

    tasks.spawn("parent", parent())
    closing = asyncio.ensure_future(tasks.close(drain_seconds=60))
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert ended == ["parent", "child"]


async def test_close_insists_on_cancellation(tasks: TaskSet) -> None:
    refusals = 0

    async def stubborn() -> None:
        nonlocal refusals
        while refusals < 2:
            try:
                await forever()
            except asyncio.CancelledError:
                refusals += 1
                await asyncio.sleep(0)
        await forever()

    task = tasks.spawn("stubborn", stubborn())
    await asyncio.sleep(0)
    await tasks.close()
    assert task.cancelled()
    assert refusals == 2


async def test_an_exception_while_closing_is_reported(tasks: TaskSet, errors: Errors) -> None:
    async def break_on_cancel() -> None:
        try:
            await forever()
        finally:
            raise RuntimeError("could not clean up")

    tasks.spawn("breaking", break_on_cancel())
    await asyncio.sleep(0)
    await tasks.close()
    assert [(name, str(error)) for name, error in errors] == [("breaking", "could not clean up")]


async def test_a_task_may_close_its_own_group(tasks: TaskSet) -> None:
    other = tasks.spawn("other", forever())
    closer = tasks.spawn("closer", tasks.close())
    await asyncio.wait([closer])
    assert other.cancelled()
    assert not closer.cancelled()


async def test_a_closed_group_starts_nothing(tasks: TaskSet) -> None:
    await tasks.close()
    with pytest.raises(RuntimeError, match="'late'"):
        tasks.spawn("late", forever())
