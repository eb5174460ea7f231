"""Leaf, intermediate and root are replaced on a running cluster, under load from an SDK."""

import asyncio
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from temporalio.client import Client
from temporalio.service import TLSConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from authority import Authority, Issued, replace
from contract.cluster import PostgresCluster
from integration.node_processes import NodeProcess, NodeProcesses, new_cluster
from integration.role_nodes import Greeting, database_server, greet
from integration.tls.ports import ask, section
from waiting import until, until_asked

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(300)]

QUEUE = "rotation"
ROLES = ("frontend", "frontend", "history", "history", "matching", "worker")
AT_A_TIME = 3
"""Workflows under way at each frontend."""
PROGRESS = 10
"""Workflows and new connections that each step of a rotation must see."""


class Host:
    """A process, its files, and what it says of them."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.shown = authority.issue()
        self.trust(authority)
        self.show(self.shown)
        self.process: NodeProcess

    def start(self, processes: NodeProcesses, name: str, role: str) -> None:
        port = section(self.folder)
        trusted = {"rootCaFiles": [str(self.folder / "trust.pem")]}
        tls = {"frontend": {"server": port}, "internode": {"server": port, "client": trusted}}
        self.process = processes.start(
            name, roles=[role], metrics={"port": 0, "tls": port}, sections={"global": {"tls": tls}}
        )

    def show(self, issued: Issued) -> None:
        self.shown = issued
        issued.write(self.folder)

    def trust(self, *authorities: Authority) -> None:
        replace(self.folder / "trust.pem", b"".join(each.pem for each in authorities))

    def told(self, client: "Identity") -> set[tuple[str, str]]:
        """Returns role and serial number of each certificate of its nodes' port, by its metrics."""
        url = self.process.places["Metrics"]
        context = ssl.create_default_context(cadata=client.trust.decode())
        context.load_cert_chain(*client.files)
        with urllib.request.urlopen(url, context=context, timeout=20) as answer:  # noqa: S310 ours
            text = answer.read().decode()
        return {
            (labels.partition('role="')[2].partition('"')[0], serial)
            for labels in text.splitlines()
            if labels.startswith("tls_certificate_expiry_timestamp_seconds{")
            and 'scope="internode"' in labels
            for serial in [labels.partition('serial="')[2].partition('"')[0]]
        }


class Identity:
    """What clients of the cluster show and trust."""

    def __init__(self, folder: Path, authority: Authority, *trusted: Authority) -> None:
        self.issued = authority.issue()
        written = self.issued.write(folder)
        self.files = (written.certificate, written.key)
        self.trust = b"".join(each.pem for each in trusted or (authority,))

    async def connect(self, address: str) -> Client:
        return await Client.connect(
            address,
            tls=TLSConfig(
                server_root_ca_cert=self.trust,
                client_cert=self.issued.chain,
                client_private_key=self.issued.key,
                domain="localhost",
            ),
        )


class Load:
    """Workflows, and clients that come new, at every frontend.

    Attributes:
        identity: What new clients show and trust.
        done: Workflows that have ended, by frontend.
        connected: Clients that have come, by frontend.
    """

    def __init__(self, addresses: list[str], identity: Identity) -> None:
        self.identity = identity
        self.done = dict.fromkeys(addresses, 0)
        self.connected = dict.fromkeys(addresses, 0)
        self._addresses = addresses
        self._clients: dict[str, Client] = {}
        self._workers: list[Worker] = []
        self._ended = False
        self._number = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs it; whatever a call raises is raised here."""
        await self.renew()
        async with asyncio.TaskGroup() as tasks:
            workers = [
                Worker(
                    client,
                    task_queue=QUEUE,
                    workflows=[Greeting],
                    activities=[greet],
                    workflow_runner=UnsandboxedWorkflowRunner(),
                )
                for client in self._clients.values()
            ]
            self._workers = workers
            served = [tasks.create_task(worker.run()) for worker in workers]
            calls = [
                *(tasks.create_task(self._run(address)) for address in self._addresses * AT_A_TIME),
                *(tasks.create_task(self._connect(address)) for address in self._addresses),
            ]
            await self.until_progress()
            yield
            self._ended = True
            await asyncio.gather(*calls)
            await asyncio.gather(*(worker.shutdown() for worker in workers))
            await asyncio.gather(*served)

    async def renew(self) -> None:
        """Has clients and workers show and trust what `identity` says now."""
        for address in self._addresses:
            self._clients[address] = await self.identity.connect(address)
        for worker, client in zip(self._workers, self._clients.values(), strict=False):
            worker.client = client

    async def until_progress(self) -> None:
        """Waits until every frontend has done more."""
        goals = [(counts, dict(counts)) for counts in (self.done, self.connected)]

        def progressed() -> bool:
            return all(
                counts[address] >= before[address] + PROGRESS
                for counts, before in goals
                for address in self._addresses
            )

        await until(progressed, 120.0)

    async def _run(self, address: str) -> None:
        while not self._ended:
            self._number += 1
            client = self._clients[address]
            name = f"greeting-{self._number}"
            await client.execute_workflow(Greeting.run, id=name, task_queue=QUEUE)
            self.done[address] += 1

    async def _connect(self, address: str) -> None:
        while not self._ended:
            client = await self.identity.connect(address)
            assert await client.service_client.check_health()
            self.connected[address] += 1


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresCluster]:
    with database_server() as server:
        yield server


def serial_of(authority: Authority) -> str:
    return f"{authority.certificate.serial_number:x}"


async def test_a_cluster_gets_new_certificates_under_load(
    database: PostgresCluster, tmp_path: Path
) -> None:
    old, new = Authority("old root"), Authority("new root")
    first, second, third = old.intermediate("1"), old.intermediate("2"), new.intermediate("3")
    async with new_cluster(database, tmp_path) as processes:
        hosts = [Host(tmp_path / f"host-{number}", old) for number in range(len(ROLES))]
        for number, (host, role) in enumerate(zip(hosts, ROLES, strict=True)):
            host.show(first.issue())
            host.start(processes, f"{role}-{number}", role)
        for host in hosts:
            await asyncio.to_thread(host.process.until_ready)
        identity = Identity(tmp_path / "client", first, old)
        load = Load([host.process.places["gRPC"] for host in hosts[:2]], identity)

        async def everywhere(step: Callable[[Host], None], *trusted: Authority) -> None:
            """Takes a step on every host, waits until each says so, and for more load."""
            for host in hosts:
                step(host)
                leaf = ("server", host.shown.serial)
                roots = {("trust", serial_of(each)) for each in trusted}

                async def taken(
                    host: Host = host,
                    leaf: tuple[str, str] = leaf,
                    roots: set[tuple[str, str]] = roots,
                ) -> bool:
                    told = await asyncio.to_thread(host.told, load.identity)
                    return leaf in told and {each for each in told if each[0] == "trust"} == roots

                await until_asked(taken, pause_seconds=0.1)
            await load.until_progress()

        async with load.running():
            # Leaves, then an intermediate, then the root: trust both, issue anew, drop the old one.
            await everywhere(lambda host: host.show(first.issue()), old)
            await everywhere(lambda host: host.show(second.issue()), old)
            await everywhere(lambda host: host.trust(old, new), old, new)
            load.identity = Identity(tmp_path / "client", second, old, new)
            await load.renew()
            await everywhere(lambda host: host.show(third.issue()), old, new)
            load.identity = Identity(tmp_path / "client", third, new)
            await load.renew()
            await load.until_progress()
            await everywhere(lambda host: host.trust(new), new)

        for host in hosts:
            lines = host.process.err.splitlines()
            assert [line for line in lines if '"level": "info"' not in line] == []
        for address in (*load.done, *(host.process.places["Nodes"] for host in hosts)):
            assert await shown_to(address, first.issue(), new) is grpc.StatusCode.UNAVAILABLE
            assert await shown_to(address, third.issue(), new) is not grpc.StatusCode.UNAVAILABLE
        for host in hosts:
            host.process.tell_to_stop()
        for host in hosts:
            await asyncio.to_thread(host.process.until_stopped)


async def shown_to(address: str, issued: Issued, trusted: Authority) -> grpc.StatusCode:
    """Returns how a call ends whose connection shows a certificate."""
    credentials = grpc.ssl_channel_credentials(trusted.pem, issued.key, issued.chain)
    async with grpc.aio.secure_channel(address, credentials) as over:
        return await ask(over, "/grpc.health.v1.Health/Check")
