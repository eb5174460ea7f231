"""One scenario's database, processes, network and load, put together and taken apart."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from chaos.database import Database
from chaos.ledger import Ledger
from chaos.load import Load
from chaos.network import HUB, Network, why_not
from chaos.processes import Place, ServerProcess, Workers, write_config
from chaos.proxy import Proxy
from contract.cluster import free_port

R = TypeVar("R")

PLACES = {
    "frontend-0": Place(("frontend",)),
    "frontend-1": Place(("frontend",)),
    "history-0": Place(("history",)),
    "history-1": Place(("history",)),
    "matching-0": Place(("matching",)),
    "matching-1": Place(("matching",)),
    "worker-0": Place(("worker",)),
}


@dataclass(frozen=True, slots=True)
class Setup:
    """What a world must have for a scenario.

    Attributes:
        proxied: Perdure reaches the database through a proxy that can be slow.
        namespaces: Every process has a network namespace of its own.
        replicated: The database has a synchronous replica.
        small_disk: The database's files are on a small disk of their own.
        skewed: The process whose wall clock is wrong.
    """

    proxied: bool = False
    namespaces: bool = False
    replicated: bool = False
    small_disk: bool = False
    skewed: str = ""

    def missing(self) -> str:
        """Says what this machine lacks; empty when nothing."""
        if self.namespaces or self.small_disk:
            return why_not()
        if self.skewed and find_faketime() is None:
            return "needs libfaketime: apt-get install faketime"
        return ""


class World:
    """What faults are injected into. Make one with `World.make`.

    Attributes:
        injected_at: When the fault was injected; the loop's time in seconds.
        healed_at: When it had ended.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = say
        self.processes: dict[str, ServerProcess] = {}
        self.ledger = Ledger(folder)
        self.injected_at = 0.0
        self.healed_at = 0.0
        self.database: Database
        self.load: Load
        self.workers: Workers
        self._network: Network | None = None
        self._proxy: Proxy | None = None

    @classmethod
    async def make(
        cls, setup: Setup, folder: Path, say: Callable[[str], None], parts: AsyncExitStack
    ) -> "World":
        """Starts everything but the load; closing `parts` ends it."""
        world = cls(folder, say)
        parts.callback(world.ledger.close)
        if setup.namespaces:
            # First, because the database listens on an address of it.
            world._network = await _kept(parts, Network.make(list(PLACES)), Network.remove)
        await world._start_database(setup, parts)
        port = free_port()
        await world._start_processes(setup, port, parts)
        address = f"127.0.0.1:{await world._entrance(port, parts)}"
        world.load = await Load.connect(address, world.ledger)
        world.workers = await _kept(parts, Workers.start(address, folder), Workers.destroy)
        parts.push_async_callback(world.load.cancel)
        return world

    async def _start_database(self, setup: Setup, parts: AsyncExitStack) -> None:
        self.say("starting PostgreSQL")
        starting = Database.start(
            small_disk=setup.small_disk, hosts=[HUB] if setup.namespaces else []
        )
        self.database = await _kept(parts, starting, Database.stop)
        await self.database.set_up()
        if setup.replicated:
            self.say("making a synchronous replica")
            await self.database.add_replica()
        if setup.proxied:
            self._proxy = await _kept(parts, Proxy.start(self.database.addresses), Proxy.stop)
            self.database.addresses = [("127.0.0.1", self._proxy.port)]
        if setup.namespaces:
            self.database.addresses = [(HUB, port) for _, port in self.database.addresses]

    async def _start_processes(self, setup: Setup, port: int, parts: AsyncExitStack) -> None:
        self.say(f"starting {len(PLACES)} processes")
        for name, usual in PLACES.items():
            place = usual
            if self._network is not None:
                prefix, host = self._network.prefix(name), self._network.addresses[name]
                place = replace(usual, host=host, prefix=prefix)
            if name == setup.skewed:
                place = replace(usual, environment=_ahead(seconds=5))
            config = self.folder / f"{name}.yml"
            dsn = self.database.dsn(name)
            write_config(config, name=name, place=place, dsn=dsn, grpc_port=port)
            process = ServerProcess(name, place, config, self.folder)
            parts.push_async_callback(process.destroy)
            self.processes[name] = process
            await process.launch()
        await asyncio.gather(*(process.until_ready() for process in self.processes.values()))

    async def _entrance(self, port: int, parts: AsyncExitStack) -> int:
        """Returns the port where clients connect: the frontends' own, or that of a proxy."""
        if self._network is None:
            return port
        hosts = [self._network.addresses[f"frontend-{number}"] for number in range(2)]
        starting = Proxy.start([(host, port) for host in hosts])
        return (await _kept(parts, starting, Proxy.stop)).port

    @property
    def network(self) -> Network:
        """The network between processes that have namespaces."""
        assert self._network is not None
        return self._network

    @property
    def proxy(self) -> Proxy:
        """What Perdure reaches the database through."""
        assert self._proxy is not None
        return self._proxy

    def inject(self, what: str) -> None:
        """Notes that the fault begins."""
        self.say(what)
        self.injected_at = self.healed_at = asyncio.get_running_loop().time()

    def heal(self, what: str) -> None:
        """Notes that the fault has ended."""
        self.say(what)
        self.healed_at = asyncio.get_running_loop().time()


async def _kept(
    parts: AsyncExitStack, making: Awaitable[R], remove: Callable[[R], Awaitable[None]]
) -> R:
    made = await making
    parts.push_async_callback(remove, made)
    return made


def find_faketime() -> Path | None:
    """Returns the library that fakes wall clocks, where it is installed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return found[0] if found else None


def _ahead(*, seconds: int) -> dict[str, str]:
    """Returns the environment of a process whose wall clock is ahead; its other clocks are not."""
    library = find_faketime()
    assert library is not None
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"+{seconds}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
