"""Requests that are over a limit."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from google.protobuf.message import Message
from temporalio.api.enums.v1 import failed_cause_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import ResourceExhaustedError
from perdure.frontend.quotas.classes import POLLS, PRIORITIES, VISIBILITY
from perdure.frontend.quotas.limits import QuotaSettings
from perdure.frontend.quotas.quotas import Quotas
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import RequestContext
from perdure.rpc.methods import public_methods

NAMESPACES = {"one", "two"}
RPS = "service rate limit exceeded"
NAMESPACE_RPS = "namespace rate limit exceeded"
POLLERS = "namespace concurrent poller limit exceeded"


@dataclass
class ManualClock:
    seconds: float = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> int:
        return round(self.seconds * 1e9)


class Context:
    metadata: dict[str, str | bytes] = {}  # noqa: RUF012 nobody writes to it
    peer = "peer"
    certificate = None

    def time_remaining(self) -> float | None:
        return None


@dataclass
class World:
    """Handlers behind limits; those that wait do so until `go_on`."""

    settings: QuotaSettings
    clock: ManualClock = field(default_factory=ManualClock)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def __post_init__(self) -> None:
        self.quotas = Quotas(
            settings=lambda _: self.settings,
            is_namespace=NAMESPACES.__contains__,
            clock=self.clock,
        )
        self.handlers = self.quotas.guard(
            {method.path: self._answer for method in public_methods()}
        )
        self.paths = {method.name: method.path for method in public_methods()}

    async def _answer(self, request: Message, _: RequestContext) -> Message | Encoded:
        if isinstance(request, wf.PollWorkflowTaskQueueRequest) or getattr(
            request, "wait_new_event", False
        ):
            self.held.release()
            await self.waiting.wait()
        return request

    async def ask(self, name: str, request: Message) -> None:
        await self.handlers[self.paths[name]](request, Context())

    async def refusals(self, name: str, request: Message, times: int) -> list[str]:
        said = []
        for _ in range(times):
            try:
                await self.ask(name, request)
            except ResourceExhaustedError as error:
                said.append(error.message)
        return said


def describe(namespace: str) -> wf.DescribeWorkflowExecutionRequest:
    return wf.DescribeWorkflowExecutionRequest(namespace=namespace)


def test_every_rpc_has_a_class() -> None:
    names = {method.name for method in public_methods()}
    assert set(PRIORITIES) == names
    assert names > VISIBILITY
    assert names > POLLS


async def test_without_limits_nothing_is_refused() -> None:
    world = World(QuotaSettings())
    assert await world.refusals("DescribeWorkflowExecution", describe("one"), 100) == []


async def test_a_namespace_has_its_own_rate() -> None:
    world = World(QuotaSettings(namespace_rps=5.0))
    said = await world.refusals("DescribeWorkflowExecution", describe("one"), 12)
    assert said == [NAMESPACE_RPS] * 2
    assert await world.refusals("DescribeWorkflowExecution", describe("two"), 10) == []
    world.clock.seconds += 1.0
    said = await world.refusals("DescribeWorkflowExecution", describe("one"), 6)
    assert said == [NAMESPACE_RPS]


async def test_all_namespaces_share_the_rate_of_the_process() -> None:
    world = World(QuotaSettings(rps=5.0))
    requests = [describe("one"), describe("two")]
    said = [await world.refusals("DescribeWorkflowExecution", each, 6) for each in requests]
    assert said == [[], [RPS] * 2]


async def test_what_one_limit_refuses_costs_the_other_nothing() -> None:
    world = World(QuotaSettings(rps=10.0, namespace_rps=5.0, burst_ratio=1.0))
    said = await world.refusals("DescribeWorkflowExecution", describe("one"), 100)
    assert said == [NAMESPACE_RPS] * 95
    assert await world.refusals("DescribeWorkflowExecution", describe("two"), 5) == []


async def test_events_go_before_polls() -> None:
    world = World(QuotaSettings(rps=5.0))
    start = wf.StartWorkflowExecutionRequest(namespace="one")
    assert await world.refusals("StartWorkflowExecution", start, 10) == []
    poll = wf.PollWorkflowTaskQueueRequest(namespace="one")
    assert await world.refusals("PollWorkflowTaskQueue", poll, 1) == [RPS]
    assert await world.refusals("GetSystemInfo", wf.GetSystemInfoRequest(), 10) == []


async def test_listings_have_a_rate_of_their_own() -> None:
    world = World(QuotaSettings(visibility_rps=2.0, burst_ratio=1.0))
    listing = wf.ListWorkflowExecutionsRequest(namespace="one")
    assert await world.refusals("ListWorkflowExecutions", listing, 3) == [NAMESPACE_RPS]
    assert await world.refusals("DescribeWorkflowExecution", describe("one"), 20) == []


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("PollWorkflowTaskQueue", wf.PollWorkflowTaskQueueRequest(namespace="one")),
        (
            "GetWorkflowExecutionHistory",
            wf.GetWorkflowExecutionHistoryRequest(namespace="one", wait_new_event=True),
        ),
    ],
)
async def test_only_so_many_requests_wait(name: str, request_: Message) -> None:
    world = World(QuotaSettings(polls=2))
    polls = [asyncio.ensure_future(world.ask(name, request_)) for _ in range(2)]
    await asyncio.gather(*(world.held.acquire() for _ in polls))
    with pytest.raises(ResourceExhaustedError, match=POLLERS) as refused:
        await world.ask(name, request_)
    assert refused.value.cause == enums.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT
    assert refused.value.scope == enums.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE
    read = wf.GetWorkflowExecutionHistoryRequest(namespace="one")
    await world.ask("GetWorkflowExecutionHistory", read)
    polls[0].cancel()
    await asyncio.wait([polls[0]])
    world.waiting.set()
    await world.ask(name, request_)
    await polls[1]


async def test_namespaces_that_do_not_exist_cost_no_memory() -> None:
    world = World(QuotaSettings(namespace_rps=1.0))
    for number in range(100):
        await world.ask("DescribeWorkflowExecution", describe(f"made-up-{number}"))
    assert world.quotas.namespace_rps() == {}


async def test_other_settings_hold_at_once() -> None:
    world = World(QuotaSettings())
    await world.ask("DescribeWorkflowExecution", describe("one"))
    chosen: Callable[[str], QuotaSettings] = lambda name: QuotaSettings(  # noqa: E731
        rps=50.0, namespace_rps=1.0 if name == "one" else 0.0, burst_ratio=1.0
    )
    world.quotas.change(chosen)
    assert (world.quotas.rps, world.quotas.namespace_rps()) == (50.0, {"one": 1.0})
    said = await world.refusals("DescribeWorkflowExecution", describe("one"), 3)
    assert said == [NAMESPACE_RPS] * 2
    assert await world.refusals("DescribeWorkflowExecution", describe("two"), 10) == []
