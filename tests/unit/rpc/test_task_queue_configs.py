"""Configurations of task queues: kept by compare-and-set, seen by other nodes when they look."""

import random

import pytest
from temporalio.api.workflowservice.v1 import UpdateTaskQueueConfigRequest

from perdure.core.commit import TaskQueueKey, TaskType
from perdure.core.errors import FailedPreconditionError
from perdure.persistence.memory.store import MemoryStore
from perdure.rpc import task_queue_configs
from perdure.rpc.task_queue_configs import FRESH_SECONDS, TaskQueueConfigs
from perdure.runtime.deterministic import ManualClock, SeededIds

QUEUE = TaskQueueKey("namespace", "queue", TaskType.ACTIVITY)


def request(rate: float | None, name: str = "queue") -> UpdateTaskQueueConfigRequest:
    update = UpdateTaskQueueConfigRequest(
        task_queue=name, task_queue_type="TASK_QUEUE_TYPE_ACTIVITY"
    )
    update.update_queue_rate_limit.reason = "why"
    if rate is not None:
        update.update_queue_rate_limit.rate_limit.requests_per_second = rate
        update.update_queue_rate_limit.rate_limit.SetInParent()
    return update


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def nodes(clock: ManualClock) -> list[TaskQueueConfigs]:
    store = MemoryStore(ids=SeededIds(generator=random.Random(1), clock=clock))
    return [TaskQueueConfigs(metadata=store, clock=clock) for _ in range(2)]


async def test_a_limit_of_zero_is_one_and_none_is_none(nodes: list[TaskQueueConfigs]) -> None:
    one, _ = nodes
    assert one.rate(QUEUE) is None
    await one.update("namespace", request(0.0))
    assert one.rate(QUEUE) == 0.0
    config = await one.update("namespace", request(None))
    assert one.rate(QUEUE) is None
    assert config.queue_rate_limit.metadata.reason == "why"
    assert one.rate(QUEUE._replace(task_type=TaskType.WORKFLOW)) is None


async def test_another_node_sees_it_when_what_it_knows_is_old(
    nodes: list[TaskQueueConfigs], clock: ManualClock
) -> None:
    one, other = nodes
    await other.refresh(["namespace"])
    await one.update("namespace", request(2.0))
    await other.refresh(["namespace"])
    assert other.rate(QUEUE) is None
    clock.advance(FRESH_SECONDS)
    await other.refresh(["namespace"])
    assert other.rate(QUEUE) == 2.0


async def test_two_nodes_lose_none_of_their_changes(nodes: list[TaskQueueConfigs]) -> None:
    one, other = nodes
    await one.update("namespace", request(1.0, "a"))
    await other.update("namespace", request(2.0, "b"))
    await one.update("namespace", request(3.0, "c"))
    rates = [one.rate(QUEUE._replace(name=name)) for name in "abc"]
    assert rates == [1.0, 2.0, 3.0]


async def test_removed_limits_make_room(
    nodes: list[TaskQueueConfigs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_queue_configs, "MAX_QUEUES", 2)
    one, _ = nodes
    for name in ("a", "b"):
        await one.update("namespace", request(1.0, name))
    with pytest.raises(FailedPreconditionError, match="remove some"):
        await one.update("namespace", request(1.0, "c"))
    await one.update("namespace", request(None, "a"))
    await one.update("namespace", request(1.0, "c"))
    assert one.rate(QUEUE._replace(name="c")) == 1.0
