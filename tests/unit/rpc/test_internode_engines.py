"""Whole matching engines behind real servers: a queue moves from one node to another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.matching.engine import MatchingEngine
from perdure.matching.settings import MatchingSettings
from perdure.rpc.clients import Encoded
from perdure.rpc.internode.matching import RoutedMatching
from perdure.rpc.internode.owned import OwnedMatching, owns_queue
from perdure.rpc.internode.routing import Router
from perdure.runtime.deterministic import ManualClock
from perdure.runtime.tasks import TaskSet
from unit.matching.world import History, Rows, response_to
from unit.rpc.internode_world import (
    NAMESPACE,
    QUICK,
    WORKFLOWS,
    Server,
    View,
    connected,
    history_stand_in,
    ids,
    task_of,
)

POLL = wf.PollWorkflowTaskQueueRequest()
POLL.task_queue.name = WORKFLOWS.name


class Nodes:
    """Two nodes with matching over the same rows, and a third that asks them."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.history = History(self.rows)
        self.errors: list[tuple[str, BaseException]] = []
        self.tasks = TaskSet(on_error=self._failed)
        self.engines = [self._engine(), self._engine()]
        self.views = [View(own_id="first"), View(own_id="second")]
        self.servers = [
            Server(view.own_id, history_stand_in(), OwnedMatching(engine, view))
            for view, engine in zip(self.views, self.engines, strict=True)
        ]
        self.view = View(own_id="frontend")

    def _engine(self) -> MatchingEngine:
        engine = MatchingEngine(
            store=self.rows,
            clock=ManualClock(),
            ids=ids(),
            settings=MatchingSettings(),
            incarnation="incarnation",
            on_error=self._failed,
        )
        engine.attach_history(self.history)
        return engine

    def _failed(self, name: str, error: BaseException) -> None:
        self.errors.append((name, error))

    def move(self, index: int, *, seen_by: list[View] | None = None) -> None:
        """Makes a node the owner of the queue, by every view or by some."""
        for view in seen_by or [*self.views, self.view]:
            view.matching = {WORKFLOWS: self.servers[index].node}
            view.change()
        for view, engine in zip(self.views, self.engines, strict=True):
            if not owns_queue(view, WORKFLOWS):
                engine.release_queues(lambda _: True)

    async def polled(self, index: int) -> None:
        """Waits until somebody polls the queue at a node."""
        async with asyncio.timeout(30):
            while not self.engines[index].has_recent_poller(WORKFLOWS):  # noqa: ASYNC110
                await asyncio.sleep(0)

    def polls(self, index: int) -> int:
        return sum(queue.pending_polls for queue in self.engines[index].statistics())


@asynccontextmanager
async def nodes() -> AsyncIterator[tuple[Nodes, RoutedMatching]]:
    world = Nodes()
    for server in world.servers:
        await server.start()
    try:
        async with connected() as peers:
            client = RoutedMatching(
                router=Router(directory=world.view, ids=ids(), settings=QUICK),
                peers=peers,
                local=None,
                sticky_unpolled=world.history.sticky_queue_unpolled,
                tasks=world.tasks,
                ids=ids(),
                settings=QUICK,
            )
            yield world, client
            client.close()
    finally:
        for server, engine in zip(world.servers, world.engines, strict=True):
            await engine.close()
            await server.stop()
        await world.tasks.close()
    assert world.errors == []


def start_poll(client: RoutedMatching) -> "asyncio.Task[Encoded]":
    return asyncio.get_running_loop().create_task(
        client.poll_workflow_task_queue(NAMESPACE, POLL, 60.0)
    )


def token_of(response: Encoded) -> bytes:
    return wf.PollWorkflowTaskQueueResponse.FromString(response).task_token


async def test_a_poll_of_a_queue_that_moves_ends_and_the_next_one_gets_the_task() -> None:
    async with nodes() as (world, client):
        world.move(0)
        poll = start_poll(client)
        await world.polled(0)
        world.move(1)
        assert await poll == b""
        poll = start_poll(client)
        await world.polled(1)
        task = task_of()
        world.rows.write(task)
        client.add_tasks([task])
        assert token_of(await poll) == token_of(response_to(task))
        assert world.history.started == [task.run.workflow_id]


async def test_views_that_differ_lead_to_the_owner_as_soon_as_they_agree() -> None:
    async with nodes() as (world, client):
        world.move(1)
        # The frontend has not heard of it.
        world.view.matching = {WORKFLOWS: world.servers[0].node}
        task = task_of()
        world.rows.write(task)
        client.add_tasks([task])
        poll = start_poll(client)
        await world.view.refreshed.wait()
        world.move(1, seen_by=[world.view])
        assert token_of(await poll) == token_of(response_to(task))


async def test_a_poller_that_vanishes_leaves_the_line_at_the_other_node() -> None:
    async with nodes() as (world, client):
        world.move(0)
        gone, stays = start_poll(client), start_poll(client)
        async with asyncio.timeout(30):
            while world.polls(0) < 2:  # noqa: ASYNC110 - counts have no event
                await asyncio.sleep(0)
            gone.cancel()
            while world.polls(0) > 1:  # noqa: ASYNC110 - counts have no event
                await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await gone
        task = task_of()
        world.rows.write(task)
        client.add_tasks([task])
        assert token_of(await stays) == token_of(response_to(task))
