"""Where matching's requests go, and how hints get to other nodes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.api.enums.v1 import task_queue_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskQueueKey
from perdure.core.errors import UnavailableError
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded, ForwardOutcome, NotOwnerError, QueryTask
from perdure.rpc.internode.matching import RoutedMatching
from perdure.rpc.internode.owned import OwnedMatching, registry_of
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.routing import Node, Router
from perdure.rpc.internode.settings import InternodeSettings
from perdure.runtime.tasks import TaskSet
from unit.rpc.internode_world import (
    ACTIVITIES,
    IMPATIENT,
    NAMESPACE,
    OWN,
    PATIENT,
    QUICK,
    WORKFLOWS,
    Address,
    View,
    connected,
    ids,
    matching_stand_in,
    serving_node,
    task_of,
)

POLL = wf.PollWorkflowTaskQueueRequest()
POLL.task_queue.name = "queue"
ACTIVITY_POLL = wf.PollActivityTaskQueueRequest()
ACTIVITY_POLL.task_queue.name = "queue"
STICKY = TaskQueueKey(NAMESPACE.id, "sticky", WORKFLOWS.task_type)
QUERY = QueryTask("query", NAMESPACE.id, task_of().run, b"head")


class Cluster:
    """This node's view, its own matching, and the cluster's."""

    def __init__(
        self, peers: Peers, view: View, settings: InternodeSettings, partitions: int
    ) -> None:
        self.view = view
        self.own = matching_stand_in()
        self.moved: asyncio.Queue[DispatchTask] = asyncio.Queue()
        self.failures: list[BaseException] = []
        self.tasks = TaskSet(on_error=lambda _, error: self.failures.append(error))
        self.refuse_move = False
        self.client = RoutedMatching(
            router=Router(directory=view, ids=ids(), settings=settings),
            peers=peers,
            local=self.own,
            sticky_unpolled=self.move,
            tasks=self.tasks,
            ids=ids(),
            settings=settings,
            partitions=partitions,
        )

    @property
    def dropped(self) -> int:
        return self.client.hints.dropped

    async def move(self, task: DispatchTask) -> None:
        self.moved.put_nowait(task)
        if self.refuse_move:
            raise UnavailableError("not now")

    async def sent(self) -> None:
        """Waits until no hint is under way."""
        while len(self.tasks):  # noqa: ASYNC110 - a group of tasks has no event for it
            await asyncio.sleep(0)


@asynccontextmanager
async def cluster(
    *nodes: Node, settings: InternodeSettings = QUICK, partitions: int = 1
) -> AsyncIterator[Cluster]:
    async with connected(settings) as peers:
        world = Cluster(peers, View(OWN, *nodes), settings, partitions)
        try:
            yield world
        finally:
            world.client.close()
            await world.tasks.close()
            assert world.failures == []


async def test_polls_and_queries_go_to_the_owner_of_their_queue() -> None:
    async with serving_node() as server, cluster(server.node) as world:
        world.view.matching = {WORKFLOWS: server.node, ACTIVITIES: OWN}
        server.matching.answers["poll_workflow_task_queue"] = Encoded(b"workflow")
        world.own.answers["poll_activity_task_queue"] = Encoded(b"activity")
        client = world.client
        assert await client.poll_workflow_task_queue(NAMESPACE, POLL, 60.0) == b"workflow"
        assert await client.poll_activity_task_queue(NAMESPACE, ACTIVITY_POLL, 60.0) == b"activity"
        outcome = await client.query(WORKFLOWS, QUERY, 5.0)
        assert outcome == await server.matching.query(WORKFLOWS, QUERY, 5.0)
        assert [name for name, _ in world.own.calls] == ["poll_activity_task_queue"]
        [(_, _, left, partition)] = server.matching.called("poll_workflow_task_queue")
        assert 59 < left <= 60
        assert partition == 0


async def test_a_querys_answer_goes_where_the_token_says() -> None:
    token = stored.TaskToken(namespace_id=NAMESPACE.id, task_queue="sticky")
    request = wf.RespondQueryTaskCompletedRequest(task_token=token.SerializeToString())
    async with serving_node() as server, cluster(server.node) as world:
        world.view.matching = {STICKY: server.node, WORKFLOWS: OWN}
        await world.client.respond_query_task_completed("query", request)
        assert server.matching.called("respond_query_task_completed") == [("query", request)]


async def test_a_poll_waits_for_an_owner_and_goes_on_there() -> None:
    settings = PATIENT
    async with serving_node() as server, cluster(server.node, settings=settings) as world:
        world.view.matching = {WORKFLOWS: server.node}
        server.matching.answers["poll_workflow_task_queue"] = NotOwnerError()
        poll = asyncio.ensure_future(world.client.poll_workflow_task_queue(NAMESPACE, POLL, 60.0))
        await world.view.refreshed.wait()
        world.view.matching = {WORKFLOWS: OWN}
        world.view.change()
        assert await poll == b"encoded"
        assert len(world.own.calls) == 1


async def test_types_of_a_queue_are_described_by_their_owners() -> None:
    request = wf.DescribeTaskQueueRequest(api_mode=enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED)
    request.task_queue.name = "queue"

    def described(task_type: int, count: int) -> wf.DescribeTaskQueueResponse:
        response = wf.DescribeTaskQueueResponse()
        info = response.versions_info[""].types_info[task_type]
        info.stats.approximate_backlog_count = count
        return response

    async with serving_node() as server, cluster(server.node) as world:
        world.view.matching = {WORKFLOWS: server.node, ACTIVITIES: OWN}
        server.matching.answers["describe_task_queue"] = described(1, 10)
        world.own.answers["describe_task_queue"] = described(2, 20)
        response = await world.client.describe_task_queue(NAMESPACE, request)
        types = response.versions_info[""].types_info
        assert {number: types[number].stats.approximate_backlog_count for number in types} == {
            1: 10,
            2: 20,
        }
        [(_, asked, _)] = server.matching.called("describe_task_queue")
        assert list(asked.task_queue_types) == [1]
        legacy = wf.DescribeTaskQueueRequest(task_queue_type=enums.TASK_QUEUE_TYPE_ACTIVITY)
        legacy.task_queue.name = "queue"
        assert await world.client.describe_task_queue(NAMESPACE, legacy) == described(2, 20)


async def test_a_worker_that_leaves_is_told_to_every_owner_once() -> None:
    async with serving_node() as server, cluster(server.node) as world:
        world.view.matching = {WORKFLOWS: server.node, ACTIVITIES: OWN}
        server.matching.answers["cancel_polls"] = 3
        world.own.answers["cancel_polls"] = 4
        assert await world.client.cancel_polls(NAMESPACE.id, "queue", "worker") == 7
        world.view.matching = {WORKFLOWS: server.node, ACTIVITIES: server.node}
        assert await world.client.cancel_polls(NAMESPACE.id, "queue", "worker") == 3
        await world.client.abandon_queue(NAMESPACE.id, "queue")
        assert server.matching.called("abandon_queue") == [(NAMESPACE.id, "queue")]
        assert not world.own.called("abandon_queue")


async def test_each_partition_has_an_owner_of_its_own() -> None:
    third = WORKFLOWS._replace(partition=3)
    task = task_of(1, third)
    async with serving_node() as server, cluster(server.node) as world:
        world.view.matching = {WORKFLOWS: OWN, third: server.node}
        client = world.client
        await client.poll_workflow_task_queue(NAMESPACE, POLL, 60.0, 3)
        [(*_, partition)] = server.matching.called("poll_workflow_task_queue")
        assert partition == 3
        request = wf.DescribeTaskQueueRequest(task_queue=POLL.task_queue)
        await client.describe_task_queue(NAMESPACE, request, 3)
        assert server.matching.called("describe_task_queue") == [(NAMESPACE, request, 3)]
        client.add_tasks([task])
        await world.sent()
        assert server.matching.called("add_tasks") == [([task],)]
        assert not world.own.calls
        # What a partition forwards goes to the root's owner.
        world.own.answers["forward_task"] = ForwardOutcome.STARTED
        assert await client.forward_task(task, True, 5.0) is ForwardOutcome.STARTED
        [(forwarded, limited, left)] = world.own.called("forward_task")
        assert (forwarded, limited) == (task, True)
        assert 4 < left <= 5


async def test_a_worker_that_leaves_is_told_to_the_owners_of_all_partitions() -> None:
    async with serving_node() as server, cluster(server.node, partitions=4) as world:
        owners = {0: OWN, 1: OWN, 2: server.node, 3: OWN}
        world.view.matching = {
            queue._replace(partition=number): owner
            for queue in (WORKFLOWS, ACTIVITIES)
            for number, owner in owners.items()
        }
        server.matching.answers["cancel_polls"] = 3
        world.own.answers["cancel_polls"] = 4
        assert await world.client.cancel_polls(NAMESPACE.id, "queue", "worker") == 7


async def test_the_workers_of_a_namespace_are_known_to_one_node() -> None:
    registry = registry_of(NAMESPACE)
    beat = wf.RecordWorkerHeartbeatRequest(namespace=NAMESPACE.name)
    async with serving_node() as server, cluster(server.node) as world:
        world.view.matching = {registry: server.node}
        server.matching.answers["record_worker_heartbeat"] = wf.RecordWorkerHeartbeatResponse()
        server.matching.answers["count_workers"] = wf.CountWorkersResponse(count=3)
        await world.client.record_worker_heartbeat(NAMESPACE, beat)
        answer = await world.client.count_workers(NAMESPACE, wf.CountWorkersRequest())
        assert answer.count == 3
        assert server.matching.called("record_worker_heartbeat") == [(NAMESPACE, beat)]
        guard = OwnedMatching(world.own, world.view)
        with pytest.raises(NotOwnerError) as refused:
            await guard.list_workers(NAMESPACE, wf.ListWorkersRequest())
        assert refused.value.owner == server.node.id


async def test_pollers_of_this_process_may_be_reserved() -> None:
    async with cluster() as world:
        taken = object()
        world.own.answers["reserve"] = taken
        assert world.client.reserve(WORKFLOWS) is taken


async def test_hints_for_this_node_are_delivered_at_once_and_others_in_batches() -> None:
    settings = InternodeSettings(hints_per_batch=3)
    async with serving_node() as server, cluster(server.node, settings=settings) as world:
        world.view.matching = {WORKFLOWS: server.node, ACTIVITIES: OWN}
        remote = [task_of(number) for number in range(7)]
        local = [task_of(number, ACTIVITIES) for number in range(2)]
        world.client.add_tasks([*remote[:3], *local, *remote[3:]])
        assert world.own.called("add_tasks") == [(local,)]
        await world.sent()
        batches = [tasks for (tasks,) in server.matching.called("add_tasks")]
        assert [len(batch) for batch in batches] == [3, 3, 1]
        assert [task for batch in batches for task in batch] == remote
        assert world.dropped == 0


async def test_hints_that_are_not_taken_go_to_whoever_owns_the_queue_then() -> None:
    settings = PATIENT
    async with (
        serving_node("old") as old,
        serving_node("new") as new,
        cluster(old.node, new.node, settings=settings) as world,
    ):
        world.view.matching = {WORKFLOWS: old.node}
        old.matching.answers["add_tasks"] = NotOwnerError()
        tasks = [task_of(1), task_of(2)]
        world.client.add_tasks(tasks)
        await world.view.refreshed.wait()
        world.view.matching = {WORKFLOWS: new.node}
        world.view.change()
        await world.sent()
        assert new.matching.called("add_tasks") == [(tasks,)]
        # This node may be the new owner as well.
        world.view.matching = {WORKFLOWS: old.node}
        world.view.refreshed.clear()
        world.client.add_tasks(tasks)
        await world.view.refreshed.wait()
        world.view.matching = {WORKFLOWS: OWN}
        world.view.change()
        await world.sent()
        assert world.own.called("add_tasks") == [(tasks,)]


@pytest.mark.parametrize("owner", [None, Address("gone", "127.0.0.1:1")])
async def test_hints_that_nobody_takes_are_given_up(owner: Node | None) -> None:
    async with cluster(settings=IMPATIENT) as world:
        world.view.matching = {} if owner is None else {WORKFLOWS: owner}
        world.client.add_tasks([task_of(1), task_of(2)])
        await world.sent()
        assert world.view.waits == IMPATIENT.hint_attempts
        assert world.dropped == 2


async def test_hints_that_wait_are_bounded() -> None:
    settings = InternodeSettings(hints_per_node=5)
    async with serving_node() as server, cluster(server.node, settings=settings) as world:
        world.view.matching = {WORKFLOWS: server.node}
        world.client.add_tasks([task_of(number) for number in range(8)])
        await world.sent()
        [(tasks,)] = server.matching.called("add_tasks")
        assert len(tasks) == 5
        assert world.dropped == 3
        world.client.close()
        world.client.add_tasks([task_of()])
        assert not len(world.tasks)
        assert world.dropped == 4


async def test_sticky_tasks_that_wait_for_nobody_are_moved_by_history() -> None:
    lonely, polled = task_of(1, STICKY, sticky=True), task_of(2, WORKFLOWS, sticky=True)
    plain = task_of(3)
    async with serving_node() as server, cluster(server.node) as world:
        world.view.matching = {WORKFLOWS: server.node, STICKY: server.node}
        server.matching.answers["has_recent_poller"] = lambda queue: queue == WORKFLOWS
        assert world.client.has_recent_poller(STICKY)
        world.refuse_move = True
        world.client.add_tasks([plain, lonely, polled])
        await world.sent()
        assert world.moved.get_nowait() == lonely
        assert world.moved.empty()
        assert not world.client.has_recent_poller(STICKY)
        assert world.client.has_recent_poller(WORKFLOWS)
        server.matching.answers["has_recent_poller"] = True
        world.client.add_tasks([lonely])
        await world.sent()
        assert world.client.has_recent_poller(STICKY)
        assert world.moved.empty()


async def test_what_was_said_of_pollers_is_forgotten() -> None:
    other = STICKY._replace(name="other")
    settings = InternodeSettings(unpolled_queues=1)
    async with serving_node() as server, cluster(server.node, settings=settings) as world:
        world.view.matching = {STICKY: server.node, other: server.node}
        server.matching.answers["has_recent_poller"] = lambda _: False
        world.client.add_tasks([task_of(1, STICKY, sticky=True), task_of(2, other, sticky=True)])
        await world.sent()
        assert world.client.has_recent_poller(STICKY)
        assert not world.client.has_recent_poller(other)
    brief = InternodeSettings(unpolled=0.0)
    async with serving_node() as server, cluster(server.node, settings=brief) as world:
        world.view.matching = {STICKY: server.node}
        server.matching.answers["has_recent_poller"] = lambda _: False
        world.client.add_tasks([task_of(1, STICKY, sticky=True)])
        await world.sent()
        assert world.client.has_recent_poller(STICKY)


async def test_of_its_own_queues_a_node_knows_whether_they_are_polled() -> None:
    async with cluster() as world:
        world.view.matching = {WORKFLOWS: OWN}
        for polled in (True, False):
            world.own.answers["has_recent_poller"] = lambda _, polled=polled: polled
            assert world.client.has_recent_poller(WORKFLOWS) is polled


async def test_a_node_refuses_what_it_does_not_own() -> None:
    other = Address("other", "")
    own: Any = matching_stand_in()
    view = View(OWN, other)
    view.matching = {WORKFLOWS: other, ACTIVITIES: OWN}
    guard = OwnedMatching(own, view)
    for call in (
        guard.poll_workflow_task_queue(NAMESPACE, POLL, 1.0),
        guard.query(WORKFLOWS, QUERY, 1.0),
        guard.forward_task(task_of(3, WORKFLOWS._replace(partition=2)), False, 1.0),
    ):
        with pytest.raises(NotOwnerError) as caught:
            await call
        assert caught.value.owner == "other"
    with pytest.raises(NotOwnerError) as unknown:
        await guard.query(STICKY, QUERY, 1.0)
    assert unknown.value.owner == ""
    assert not own.calls
    await guard.poll_activity_task_queue(NAMESPACE, ACTIVITY_POLL, 1.0)
    mine, foreign = task_of(1, ACTIVITIES), task_of(2)
    guard.add_tasks([mine])
    with pytest.raises(NotOwnerError):
        guard.add_tasks([mine, foreign])
    assert own.called("add_tasks") == [([mine],), ([mine],)]
