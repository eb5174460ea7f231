"""The simulated network: replies, losses, cuts, and the death or stop of either side."""

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
from simulation.network import KEEPALIVE_SECONDS, Network, NoAnswerError
from simulation.rpc import Connection, Remote
from simulation.trace import Trace

ADDRESS = "server:1"


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
    if server is not None:
        network.listen(ADDRESS, server)
    return network


def _remote(network: Network, *frontends: str) -> Remote:
    connection = Connection(
        network=network,
        host="client",
        frontends=frontends or (ADDRESS,),
        generator=random.Random(1),
        trace=network._trace,
    )
    return Remote(connection, "echo")


def test_a_call_runs_in_the_servers_process(loop: SimulatedLoop, server: EchoServer) -> None:
    echo = _remote(_network(loop, server, FaultPlan()))
    request = wf.PollActivityTaskQueueRequest(identity="me")
    answer = loop.run_until_complete(echo.echo(request))
    assert answer == request
    assert answer is not request
    assert server.seen == [server.process]
    assert loop.time() > 0


def test_errors_cross_and_bugs_are_violations(loop: SimulatedLoop, server: EchoServer) -> None:
    network = _network(loop, server, FaultPlan())
    echo = _remote(network)
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
            loop.run_until_complete(_remote(_network(loop, server, faults)).echo("hello"))
        assert server.served == served


def test_nobody_listens(loop: SimulatedLoop) -> None:
    with pytest.raises(UnavailableError, match="refused"):
        loop.run_until_complete(_remote(_network(loop, None, FaultPlan())).echo(1))


def test_a_client_goes_to_another_frontend(loop: SimulatedLoop, server: EchoServer) -> None:
    async def main() -> None:
        echo = _remote(_network(loop, server, FaultPlan()), "dead:1", ADDRESS)
        for _ in range(20):
            try:
                await echo.echo(1)
            except NoAnswerError:
                continue

    loop.run_until_complete(main())
    assert server.served > 0


@pytest.mark.parametrize(("silent_loss", "cancelled"), [(0.0, 1), (1.0, 0)])
def test_the_server_may_learn_that_the_caller_has_gone(
    loop: SimulatedLoop, server: EchoServer, silent_loss: float, cancelled: int
) -> None:
    async def main() -> None:
        echo = _remote(_network(loop, server, FaultPlan(silent_loss=silent_loss)))
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
        call = asyncio.ensure_future(_remote(network).hang())
        await asyncio.sleep(1)
        server.process.alive = False
        network.disconnect("server")
        with pytest.raises(UnavailableError, match="reset"):
            await call

    loop.run_until_complete(main())
    assert server.cancelled == 0


def test_the_server_learns_that_its_caller_was_killed(
    loop: SimulatedLoop, server: EchoServer
) -> None:
    async def main() -> None:
        network = _network(loop, server, FaultPlan())
        caller = Process("client")
        hanging = caller.context().run(asyncio.ensure_future, _remote(network).hang())
        await asyncio.sleep(1)
        caller.alive = False
        network.disconnect("client")
        await asyncio.sleep(1)
        assert not hanging.done()

    loop.run_until_complete(main())
    assert server.cancelled == 1


def test_nothing_passes_a_line_that_is_cut(loop: SimulatedLoop, server: EchoServer) -> None:
    async def main() -> None:
        network = _network(loop, server, FaultPlan())
        echo = _remote(network)
        hanging = asyncio.ensure_future(echo.hang())
        await asyncio.sleep(1)
        network.cut("client", "server")
        with pytest.raises(NoAnswerError):
            await echo.echo(1)
        with pytest.raises(NoAnswerError):
            await hanging
        assert await network.connect("client", ADDRESS) is None
        assert server.served == 0
        network.heal("server", "client")
        assert await echo.echo(2) == 2
        assert await network.connect("client", ADDRESS) is server

    loop.run_until_complete(main())


def test_a_stopped_server_answers_when_it_goes_on(loop: SimulatedLoop, server: EchoServer) -> None:
    async def main() -> float:
        network = _network(loop, server, FaultPlan())
        server.process.stopped_until = 3.0
        network.stalled("server", server.process)
        assert await _remote(network).echo(1) == 1
        return loop.time()

    assert 3.0 <= loop.run_until_complete(main()) < 3.1


def test_callers_give_up_a_server_that_is_stopped_for_long(
    loop: SimulatedLoop, server: EchoServer
) -> None:
    async def main() -> float:
        network = _network(loop, server, FaultPlan())
        hanging = asyncio.ensure_future(_remote(network).hang())
        await asyncio.sleep(1)
        server.process.stopped_until = 100.0
        network.stalled("server", server.process)
        with pytest.raises(NoAnswerError, match="no sign of life"):
            await hanging
        return loop.time()

    assert loop.run_until_complete(main()) <= 1 + KEEPALIVE_SECONDS


def test_a_server_that_closes_lets_calls_end(loop: SimulatedLoop, server: EchoServer) -> None:
    async def main() -> None:
        network = _network(loop, server, FaultPlan())
        hanging = asyncio.ensure_future(_remote(network).hang())
        await asyncio.sleep(1)
        closing = asyncio.ensure_future(network.close(ADDRESS, 2.0))
        await asyncio.sleep(1)
        with pytest.raises(NoAnswerError, match="refused"):
            await _remote(network).echo(1)
        assert not hanging.done()
        await closing
        with pytest.raises(NoAnswerError, match="cancelled"):
            await hanging

    loop.run_until_complete(main())
    assert server.cancelled == 1


def test_a_signal_may_arrive_twice(loop: SimulatedLoop, server: EchoServer) -> None:
    async def main() -> None:
        network = _network(loop, server, FaultPlan(duplicate_request=1.0))
        await _remote(network).signal_workflow_execution("hello")
        await asyncio.sleep(5)

    server.signal_workflow_execution = server.echo  # type: ignore[attr-defined]
    loop.run_until_complete(main())
    assert server.served == 2
