"""What a scenario is: a typed coroutine function that drives one server and records what it saw."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from temporalio.client import Client

from conformance.normalise import Normaliser
from conformance.recording import Recording

NAMESPACE = "default"
IDENTITY = "conformance"

SEARCH_ATTRIBUTES = {
    "ConformanceKeyword": "Keyword",
    "ConformanceKeywordList": "KeywordList",
    "ConformanceText": "Text",
    "ConformanceInt": "Int",
    "ConformanceDouble": "Double",
    "ConformanceBool": "Bool",
    "ConformanceDatetime": "Datetime",
}
"""What every target is started with."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ScenarioEnv:
    """The server under test, and a nonce that keeps the names of this run apart from others."""

    address: str
    channel: grpc.aio.Channel
    nonce: str

    def name(self, stem: str) -> str:
        """Returns a name that no other run uses; recordings show only the stem."""
        return f"{stem}-{self.nonce}"

    def recording(self) -> Recording:
        """Starts an empty recording."""
        return Recording(Normaliser(nonce=self.nonce))

    async def sdk(self) -> Client:
        """Returns an official SDK client of the server."""
        return await Client.connect(self.address, namespace=NAMESPACE, identity=IDENTITY)


ScenarioFunction = Callable[[ScenarioEnv], Awaitable[Recording]]


@dataclass(slots=True, frozen=True)
class Scenario:
    """A registered scenario.

    Attributes:
        name: Its function's name.
        area: The module that holds it.
        title: A sentence.
        run: Drives a server.
        settings: What the server must be started with, as `KEY=JSON` of dynamic configuration.
    """

    name: str
    area: str
    title: str
    run: ScenarioFunction
    settings: tuple[str, ...] = ()


_registered: dict[str, Scenario] = {}


def scenario(function: ScenarioFunction) -> ScenarioFunction:
    """Registers a scenario under its function's name; its docstring's first line is the title."""
    return _register(function, ())


def scenario_with(*settings: str) -> Callable[[ScenarioFunction], ScenarioFunction]:
    """Registers a scenario that needs a server with settings (`KEY=JSON`).

    Servers are shared by the scenarios with the same ones, so that few of them are best.
    """
    return lambda function: _register(function, settings)


def _register(function: ScenarioFunction, settings: tuple[str, ...]) -> ScenarioFunction:
    name = function.__name__
    assert name not in _registered, f"two scenarios are named {name}"
    title = (function.__doc__ or "").strip().splitlines()[0].rstrip(".")
    area = function.__module__.rpartition(".")[2]
    _registered[name] = Scenario(name, area, title, function, settings)
    return function


def registered() -> dict[str, Scenario]:
    """Returns the scenarios that were imported so far, by name."""
    return dict(sorted(_registered.items()))


@asynccontextmanager
async def environment(address: str) -> AsyncIterator[ScenarioEnv]:
    """Connects to a server for one scenario."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield ScenarioEnv(address=address, channel=channel, nonce=secrets.token_hex(4))


async def run(chosen: Scenario, address: str) -> Recording:
    """Runs one scenario against the server at `address` (host:port)."""
    async with environment(address) as env:
        return await chosen.run(env)
