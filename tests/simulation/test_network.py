"""The simulated network: replies, losses, and the death of either side."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError, UnavailableError
from simulation.clock import SimulatedClock
from simulation.faults import FaultPlan
from simulation.loop import PROCESS, Process, SimulatedLoop
from simulation.network import Network, Remote
from simulation.trace import Trace


class EchoServer:
    """Answers with what it was sent; keeps count."""

    def __init__(self) -> None:
        self.process = Process("server")
        self.served = 0
        self.cancelled = 0
        self.seen: list[Process | None] = []

    def handler(self, role: str, method: str) -> Callable[..., Any]:
        assert role == "echo"
        answer: Callable[..., Any] = getattr(self, method)
        return answer

    async def echo(self, request: Any) -> Any:
        self.served += 1
        self.seen.append(PROCESS.get())
        return request

    async def hang(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def refuse(self) -> None:
        raise NotFoundError("simulated")

    async def break_down(self) -> None:
        raise KeyError("bug")


@pytest.fixture
def server() -> EchoServer:
    return EchoServer()


def _network(loop: SimulatedLoop, server: EchoServer | None, faults: FaultPlan) -> Network:
    trace = Trace(clock=SimulatedClock(loop=loop))
    network = Network(faults=faults, generator=random.Random(1), trace=trace)
    network.server = server
    return network


def test_a_call_runs_in_the_servers_process(loop: SimulatedLoop, server: EchoServer) -> None:
    echo = Remote(_network(loop, server, FaultPlan()), "echo")
    request = wf.PollActivityTaskQueueRequest(identity="me")
    answer = loop.run_until_complete(echo.echo(request))
    assert answer == request
    assert answer is not request
    assert server.seen == [server.process]
    assert loop.time() > 0


def test_errors_cross_and_bugs_are_violations(loop: SimulatedLoop, server: EchoServer) -> None:
    network = _network(loop, server, FaultPlan())
    echo = Remote(network, "echo")
    with pytest.raises(NotFoundError):
        loop.run_until_complete(echo.refuse())
    with pytest.raises(UnavailableError):
        loop.run_until_complete(echo.break_down())
    (violation,) = network._trace.violations
    assert "echo.break_down raised KeyError" in violation


def test_a_lost_request_never_arrives_and_a_lost_reply_does(
    loop: SimulatedLoop, server: EchoServer
) -> None:
    for faults, served in ((FaultPlan(request_loss=1.0), 0), (FaultPlan(reply_loss=1.0), 1)):
        server.served = 0
        with pytest.raises(UnavailableError, match="connection lost"):
            loop.run_until_complete(Remote(_network(loop, server, faults), "echo").echo("hello"))
        assert server.served == served


def test_nobody_listens(loop: SimulatedLoop) -> None:
    with pytest.raises(UnavailableError, match="refused"):
        loop.run_until_complete(Remote(_network(loop, None, FaultPlan()), "echo").echo(1))


@pytest.mark.parametrize(("silent_loss", "cancelled"), [(0.0, 1), (1.0, 0)])
def test_the_server_may_learn_that_the_caller_has_gone(
    loop: SimulatedLoop, server: EchoServer, silent_loss: float, cancelled: int
) -> None:
    async def main() -> None:
        echo = Remote(_network(loop, server, FaultPlan(silent_loss=silent_loss)), "echo")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await echo.hang()
        await asyncio.sleep(5)

    loop.run_until_complete(main())
    assert server.cancelled == cancelled


def test_the_callers_of_a_killed_server_get_an_error(
    loop: SimulatedLoop, server: EchoServer
) -> None:
    async def main() -> None:
        network = _network(loop, server, FaultPlan())
        call = asyncio.ensure_future(Remote(network, "echo").hang())
        await asyncio.sleep(1)
        server.process.alive = False
        network.disconnect()
        with pytest.raises(UnavailableError, match="reset"):
            await call

    loop.run_until_complete(main())
    assert server.cancelled == 0


def test_a_signal_may_arrive_twice(loop: SimulatedLoop, server: EchoServer) -> None:
    async def main() -> None:
        network = _network(loop, server, FaultPlan(duplicate_request=1.0))
        await Remote(network, "echo").signal_workflow_execution("hello")
        await asyncio.sleep(5)

    server.signal_workflow_execution = server.echo  # type: ignore[attr-defined]
    loop.run_until_complete(main())
    assert server.served == 2
