"""gRPC between simulated nodes: what crosses, and how a call fails."""

import asyncio
import random
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError
from perdure.rpc.clients import Namespace, NotOwnerError
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.internode.errors import PeerUnreachableError, RemoteError
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.reach import check_reachable
from perdure.rpc.internode.serving import internode_handlers
from perdure.rpc.internode.settings import INTERNODE_TRANSPORT
from perdure.rpc.internode.wire import HISTORY_METHODS, INTERNODE_SERVICES
from perdure.rpc.server import RpcServer
from simulation.channels import NodeNetwork
from simulation.clock import SimulatedClock
from simulation.faults import FaultPlan
from simulation.logs import logs_in
from simulation.loop import Process, SimulatedLoop
from simulation.network import Network
from simulation.trace import Trace

NAMESPACE = Namespace("id", "name")
SIGNAL = wf.SignalWorkflowExecutionRequest(signal_name="s", request_id="r")
HANGS = wf.SignalWorkflowExecutionRequest(signal_name="hang", request_id="r")


class World:
    """Two nodes: one serves history, the other one calls it."""

    def __init__(self, loop: SimulatedLoop, faults: FaultPlan, *, streamed: bool) -> None:
        self.trace = Trace(clock=SimulatedClock(loop=loop))
        self.network = Network(faults=faults, generator=random.Random(1), trace=self.trace)
        self.process = Process("far")
        self.error: Exception | None = None
        self.served = 0
        self.cancelled = 0
        own = {method.name: None for method in HISTORY_METHODS}
        history = SimpleNamespace(**{**own, "signal_workflow_execution": self._signal})
        self.server = RpcServer(
            handlers=internode_handlers(cast(HistoryClient, history), None),
            services=INTERNODE_SERVICES,
            always_detailed=True,
            streamed=streamed,
            clock=SimulatedClock(loop=loop),
            transport=INTERNODE_TRANSPORT,
            network=self.at("far", self.process),
        )
        self.near = self.at("near", Process("near"))
        self.peers = Peers(network=self.near)

    def at(self, host: str, process: Process) -> NodeNetwork:
        return NodeNetwork(self.network, host=host, process=process, trace=self.trace)

    async def call(
        self, request: wf.SignalWorkflowExecutionRequest = SIGNAL
    ) -> wf.SignalWorkflowExecutionResponse:
        history = self.peers.history("far:7234")
        return await history.signal_workflow_execution(NAMESPACE, request)

    async def _signal(
        self, namespace: Namespace, request: wf.SignalWorkflowExecutionRequest
    ) -> wf.SignalWorkflowExecutionResponse:
        assert namespace == NAMESPACE
        self.served += 1
        if request == HANGS:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if self.error is not None:
            raise self.error
        return wf.SignalWorkflowExecutionResponse()


@pytest.fixture(params=[True, False], ids=["streamed", "alone"])
def streamed(request: pytest.FixtureRequest) -> bool:
    """Tells whether the far node takes calls in streams."""
    return bool(request.param)


def _run(
    loop: SimulatedLoop, streamed: bool, faults: FaultPlan, scenario: Any, *, starts: bool = True
) -> World:
    world = World(loop, faults, streamed=streamed)

    async def main() -> None:
        if starts:
            await world.server.start("far", 7234)
        steps: Coroutine[Any, Any, None] = scenario(world)
        await steps

    loop.run_until_complete(main())
    return world


def test_a_call_and_its_errors_cross(loop: SimulatedLoop, streamed: bool) -> None:
    async def scenario(world: World) -> None:
        await check_reachable("far:7234", network=world.near)
        assert await world.call() == wf.SignalWorkflowExecutionResponse()
        world.error = NotFoundError("gone")
        with pytest.raises(NotFoundError, match="gone"):
            await world.call()
        world.error = NotOwnerError("another")
        with pytest.raises(NotOwnerError) as raised:
            await world.call()
        assert raised.value.owner == "another"

    assert not _run(loop, streamed, FaultPlan(), scenario).trace.violations


def test_what_was_not_foreseen_is_a_violation(loop: SimulatedLoop, streamed: bool) -> None:
    async def scenario(world: World) -> None:
        world.error = KeyError("bug")
        with logs_in(world.trace), pytest.raises(RemoteError):
            await world.call()

    violations = _run(loop, streamed, FaultPlan(), scenario).trace.violations
    logged, *raised = violations
    assert "operation='SignalWorkflowExecution'" in logged
    assert "KeyError('bug')" in logged
    if not streamed:
        assert "SignalWorkflowExecution raised KeyError" in raised[0]


def test_where_nobody_listens_nothing_was_sent(loop: SimulatedLoop, streamed: bool) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(PeerUnreachableError) as raised:
            await world.call()
        assert not raised.value.maybe_sent
        await world.server.start("far", 7234)
        await world.call()

    _run(loop, streamed, FaultPlan(), scenario, starts=False)


@pytest.mark.parametrize(("faults", "served"), [("request_loss", 1), ("reply_loss", 2)])
def test_a_lost_message_may_have_been_sent(
    loop: SimulatedLoop, streamed: bool, faults: str, served: int
) -> None:
    plan = FaultPlan()

    async def scenario(world: World) -> None:
        await world.call()
        setattr(plan, faults, 1.0)
        with pytest.raises(PeerUnreachableError) as raised:
            await world.call()
        assert raised.value.maybe_sent

    assert _run(loop, streamed, plan, scenario).served == served


def test_a_repeatable_request_may_arrive_twice(loop: SimulatedLoop, streamed: bool) -> None:
    async def scenario(world: World) -> None:
        await world.call()
        await asyncio.sleep(5)

    assert _run(loop, streamed, FaultPlan(duplicate_request=1.0), scenario).served == 2


def test_closing_a_connection_ends_its_calls(loop: SimulatedLoop, streamed: bool) -> None:
    async def scenario(world: World) -> None:
        call = asyncio.ensure_future(world.call(HANGS))
        await asyncio.sleep(1)
        await world.peers.close()
        with pytest.raises(PeerUnreachableError):
            await call
        await asyncio.sleep(1)

    assert _run(loop, streamed, FaultPlan(), scenario).cancelled == 1


def test_a_cut_connection_is_given_up_and_made_again(loop: SimulatedLoop, streamed: bool) -> None:
    async def scenario(world: World) -> None:
        await world.call()
        world.network.cut("near", "far")
        sent = []
        for _ in range(2):
            with pytest.raises(PeerUnreachableError) as raised:
                await world.call()
            sent.append(raised.value.maybe_sent)
        assert sent == [True, False]
        world.network.heal("near", "far")
        await world.call()

    assert _run(loop, streamed, FaultPlan(), scenario).served == 2
