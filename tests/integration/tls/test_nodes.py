"""TLS between nodes: who is let in, and connections that are made anew under calls."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from authority import CLIENT, SERVER, Authority, Issued, replace
from integration.tls.ports import section
from perdure.app.tls_metrics import TlsMetrics
from perdure.config.tls import ServerTls, Tls
from perdure.persistence.ports import StartupError
from perdure.rpc.internode.errors import PeerUnreachableError
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.reach import check_reachable
from perdure.rpc.internode.serving import internode_handlers
from perdure.rpc.internode.settings import INTERNODE_TRANSPORT, InternodeSettings
from perdure.rpc.internode.wire import MATCHING_METHODS, MATCHING_SERVICE
from perdure.rpc.server import RpcServer
from perdure.rpc.tls.following import TlsFiles
from perdure.rpc.tls.security import NodeSecurity
from perdure.rpc.tls.serving import node_security
from perdure.runtime.clock import SystemClock
from perdure.telemetry.collectors import Metrics
from unit.rpc.internode_world import matching_stand_in
from waiting import until

clock = SystemClock()


class Node:
    """A node's files, its internode port, and its connections to others."""

    def __init__(self, folder: Path, authority: Authority, client: dict[str, Any]) -> None:
        folder.mkdir()
        self.folder = folder
        self.show(authority.issue())
        self.trust(authority)
        trusted = {"rootCaFiles": [str(folder / "trust.pem")], **client}
        tls = Tls.model_validate({"internode": {"server": section(folder), "client": trusted}})
        observer = TlsMetrics(
            Metrics().scoped(service_name="history"), clock, tls.expiration_checks
        )
        self.files = TlsFiles(tls, ServerTls(), clock=clock, observer=observer)
        self.security: NodeSecurity = node_security(self.files)
        self.peers = Peers(settings=InternodeSettings(call=20.0), security=self.security.peers)
        self.renewals: list[asyncio.Task[None]] = []
        assert self.security.peers is not None
        self.security.peers.follow(
            lambda: self.renewals.append(asyncio.ensure_future(self.peers.renew()))
        )
        self.matching = matching_stand_in()
        self.address = ""

    def show(self, issued: Issued) -> None:
        issued.write(self.folder)

    def trust(self, *authorities: Authority) -> None:
        replace(self.folder / "trust.pem", b"".join(each.pem for each in authorities))

    async def start(self, parts: AsyncExitStack) -> None:
        server = RpcServer(
            handlers=internode_handlers(None, self.matching),
            services=[MATCHING_SERVICE],
            always_detailed=True,
            streamed=True,
            clock=clock,
            transport=INTERNODE_TRANSPORT,
            security=self.security.internode,
        )
        port = await server.start("127.0.0.1", 0)
        parts.push_async_callback(server.stop, 0)
        parts.push_async_callback(self.peers.close)
        self.address = f"127.0.0.1:{port}"

    async def ask(self, other: "Node") -> int:
        """Makes a call of another node; returns what that answers."""
        answer: int = await self.peers.matching(other.address).cancel_polls("id", "queue", "key")
        return answer


@asynccontextmanager
async def two_nodes(
    folder: Path, authority: Authority, *, near: Authority | None = None, **client: Any
) -> AsyncIterator[tuple[Node, Node]]:
    """Runs two nodes of one authority; the near one of another, where it is given."""
    nodes = (
        Node(folder / "near", near or authority, client),
        Node(folder / "far", authority, {}),
    )
    async with AsyncExitStack() as parts:
        for node in nodes:
            await node.start(parts)
            node.matching.answers["cancel_polls"] = 7
        yield nodes


async def test_nodes_of_one_authority_call_each_other(tmp_path: Path) -> None:
    async with two_nodes(tmp_path, Authority("root")) as (near, far):
        assert await near.ask(far) == 7
        assert await far.ask(near) == 7


async def test_a_node_of_another_authority_is_not_called(tmp_path: Path) -> None:
    async with two_nodes(tmp_path, Authority("root"), near=Authority("root")) as (near, far):
        for one, other in ((near, far), (far, near)):
            with pytest.raises(PeerUnreachableError) as unreachable:
                await one.ask(other)
            assert not unreachable.value.maybe_sent


async def test_a_node_without_a_certificate_is_not_let_in(tmp_path: Path) -> None:
    async with two_nodes(tmp_path, Authority("root")) as (_, far):
        for credentials in (
            grpc.ssl_channel_credentials((far.folder / "trust.pem").read_bytes()),
            None,
        ):
            channel = (
                grpc.aio.insecure_channel(far.address)
                if credentials is None
                else grpc.aio.secure_channel(far.address, credentials)
            )
            async with channel:
                check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await check(b"", timeout=20)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert far.matching.calls == []


SPIFFE = "spiffe://example.com/ns/{}/role/{}/host/h1"


@pytest.mark.parametrize(
    ("usages", "spiffe", "let_in"),
    [
        ((SERVER, CLIENT), "", True),
        ((SERVER, CLIENT), SPIFFE.format("temporal-system", "history"), True),
        ((SERVER, CLIENT), "spiffe://example.com/workload/7", True),
        ((CLIENT,), "", False),
        ((CLIENT,), SPIFFE.format("orders", "application-worker"), False),
        ((SERVER, CLIENT), SPIFFE.format("orders", "history"), False),
        ((SERVER, CLIENT), SPIFFE.format("temporal-system", "monitoring"), False),
    ],
)
async def test_only_nodes_ask_what_nodes_ask(
    tmp_path: Path, usages: tuple[Any, ...], spiffe: str, let_in: bool
) -> None:
    """An application of the same authority gets no further than health."""
    root = Authority("root")
    async with two_nodes(tmp_path, root) as (_, far):
        shown = root.issue(usages=usages, spiffe=spiffe)
        credentials = grpc.ssl_channel_credentials(root.pem, shown.key, shown.chain)
        (method,) = [each for each in MATCHING_METHODS if each.name == "cancel_polls"]
        async with grpc.aio.secure_channel(far.address, credentials) as channel:
            call: Any = channel.unary_unary(method.path)
            check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
            await check(b"", timeout=20)
            if let_in:
                await call(b"", timeout=20)
            else:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call(b"", timeout=20)
                assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert bool(far.matching.calls) is let_in


async def test_a_name_that_all_nodes_have_stands_for_the_host(tmp_path: Path) -> None:
    root = Authority("root")
    async with two_nodes(tmp_path, root, serverName="localhost") as (near, far):
        far.show(root.issue(dns=("localhost",), ip=()))
        await far.files.look()
        assert await near.ask(far) == 7


async def test_a_node_of_another_name_is_not_called(tmp_path: Path) -> None:
    root = Authority("root")
    async with two_nodes(tmp_path, root, serverName="localhost") as (near, far):
        far.show(root.issue(dns=("elsewhere",), ip=("127.0.0.1",)))
        await far.files.look()
        with pytest.raises(PeerUnreachableError):
            await near.ask(far)


async def test_a_node_that_cannot_call_itself_is_told_of_its_certificate(tmp_path: Path) -> None:
    root = Authority("root")
    async with two_nodes(tmp_path, root) as (near, _):
        assert near.security.peers is not None
        await check_reachable(near.address, security=near.security.peers.current())
        near.show(root.issue(dns=("elsewhere",), ip=()))
        await near.files.look()
        with pytest.raises(StartupError, match="see that this node's certificate has the name"):
            await check_reachable(near.address, security=near.security.peers.current(), seconds=1.0)


async def test_a_root_is_replaced_under_calls(tmp_path: Path) -> None:
    """Trust both, issue by the new one, drop the old one: no call fails, in either direction."""
    old, new = Authority("old"), Authority("new")
    async with two_nodes(tmp_path, old) as (near, far):
        answers: list[int] = []
        ended = asyncio.Event()

        async def ask_on() -> None:
            while not ended.is_set():
                answers.append(await near.ask(far))
                answers.append(await far.ask(near))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask_on())
            await until(lambda: len(answers) > 4)
            steps: tuple[Callable[[Node], None], ...] = (
                lambda node: node.trust(old, new),
                lambda node: node.show(new.issue()),
                lambda node: node.trust(new),
            )
            for step in steps:
                for node in (near, far):
                    step(node)
                    await node.files.look()
                    seen = len(answers)
                    await until(lambda: len(answers) > seen + 4)  # noqa: B023 waited for here
            ended.set()
        assert set(answers) == {7}
        assert [len(node.renewals) for node in (near, far)] == [3, 3]
        await asyncio.gather(*near.renewals, *far.renewals)


async def test_a_call_under_way_keeps_its_connection(tmp_path: Path) -> None:
    root = Authority("root")
    async with two_nodes(tmp_path, root) as (near, far):
        release, begun = asyncio.Event(), asyncio.Event()

        async def answer(*_: Any) -> int:
            begun.set()
            await release.wait()
            return 9

        far.matching.answers["cancel_polls"] = answer
        call = asyncio.create_task(near.ask(far))
        await begun.wait()
        near.show(root.issue())
        await near.files.look()
        far.matching.answers["cancel_polls"] = 7
        assert await near.ask(far) == 7
        assert not call.done()
        assert not near.renewals[0].done()
        release.set()
        assert await call == 9
        await near.renewals[0]
