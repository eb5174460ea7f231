"""Certificates that change while calls are made."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from authority import Authority, replace
from integration.tls.ports import World, answer_to, ask, channel, section, serving
from perdure.rpc.peer_certificate import parse
from perdure.telemetry import tls_catalogue as catalogue
from waiting import until

OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving(tmp_path) as made:
        yield made


async def shown_by(world: World, host: str = "localhost") -> str:
    """Returns the serial number of the certificate that the port shows for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    client = world.authority.issue().write(world.folder / "client")
    context.load_cert_chain(client.certificate, client.key)
    _, writer = await asyncio.open_connection(
        "127.0.0.1", world.port, ssl=context, server_hostname=host
    )
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    return parse(ssl.DER_cert_to_PEM_cert(shown).encode()).serial


@asynccontextmanager
async def calls(world: World) -> AsyncIterator[Counter[grpc.StatusCode]]:
    """Makes calls over one connection and over ever new ones; yields how they end."""
    statuses: Counter[grpc.StatusCode] = Counter()
    client = world.authority.issue()
    ended = asyncio.Event()

    async def one_connection() -> None:
        async with channel(world, client) as kept:
            while not ended.is_set():
                statuses[await ask(kept)] += 1

    async def new_connections() -> None:
        while not ended.is_set():
            statuses[await answer_to(world, client)] += 1

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one_connection())
        tasks.create_task(new_connections())
        await until(lambda: statuses[OK] > 5)
        yield statuses
        seen = statuses.total()
        await until(lambda: statuses.total() > seen + 5)
        ended.set()


async def test_a_leaf_changes_under_calls(world: World) -> None:
    async with calls(world) as statuses:
        for _ in range(5):
            leaf = world.authority.issue()
            leaf.write(world.folder)
            await world.reload()
            assert await shown_by(world) == leaf.serial
    assert statuses.keys() == {OK}


async def test_an_intermediate_changes_under_calls(world: World) -> None:
    async with calls(world) as statuses:
        for name in ("one", "two"):
            leaf = world.authority.intermediate(name).issue()
            leaf.write(world.folder)
            await world.reload()
            assert await shown_by(world) == leaf.serial
    assert statuses.keys() == {OK}


async def test_roots_change_under_calls(world: World) -> None:
    old, new = world.authority, Authority("new")
    async with calls(world) as statuses:
        replace(world.folder / "trust.pem", old.pem + new.pem)
        await world.reload()
        for authority in (old, new):
            assert await answer_to(world, authority.issue()) is OK
    assert statuses.keys() == {OK}
    async with channel(world, old.issue()) as kept:
        assert await ask(kept) is OK
        replace(world.folder / "trust.pem", new.pem)
        await world.reload()
        # It has been let in before; its age is bounded by the transport.
        assert await ask(kept) is OK
    assert await answer_to(world, old.issue()) is UNAVAILABLE
    assert await answer_to(world, new.issue()) is OK


async def test_a_folder_is_swapped_as_kubernetes_does(tmp_path: Path) -> None:
    """certificate.pem is a link into ..data, which is a link to a folder with a date."""
    authority = Authority("root")
    leaves = [authority.issue() for _ in range(2)]
    mounted = tmp_path / "mounted"
    for number, leaf in enumerate(leaves):
        leaf.write(mounted / f"..{number}")
    (mounted / "..data").symlink_to("..0")
    for name in ("certificate.pem", "key.pem"):
        (mounted / name).symlink_to(f"..data/{name}")
    server = {
        "certFile": str(mounted / "certificate.pem"),
        "keyFile": str(mounted / "key.pem"),
    }
    async with serving(tmp_path, authority=authority, server=server) as world:
        assert await shown_by(world) == leaves[0].serial
        (mounted / "..data.new").symlink_to("..1")
        (mounted / "..data.new").replace(mounted / "..data")
        await world.reload()
        assert await shown_by(world) == leaves[1].serial
        assert world.value(catalogue.TLS_RELOAD_TOTAL, result="failed") == 0


async def test_names_have_certificates_of_their_own(tmp_path: Path) -> None:
    authority = Authority("root")
    usual, other = authority.issue(), authority.issue(dns=("other.example.com",), ip=())
    other.write(tmp_path / "other")
    override = section(tmp_path) | {
        "certFile": str(tmp_path / "other" / "certificate.pem"),
        "keyFile": str(tmp_path / "other" / "key.pem"),
    }
    tls = {
        "frontend": {
            "server": section(tmp_path),
            "hostOverrides": {"other.example.com": override},
        }
    }
    async with serving(tmp_path, authority=authority, leaf=usual, tls=tls) as world:
        for name, leaf in (("localhost", usual), ("other.example.com", other)):
            assert await shown_by(world, name) == leaf.serial
        assert await shown_by(world, "unknown.example.com") == usual.serial
        renewed = authority.issue(dns=("other.example.com",), ip=())
        renewed.write(tmp_path / "other")
        await world.reload()
        assert await shown_by(world, "other.example.com") == renewed.serial
        assert await shown_by(world) == usual.serial


async def test_nothing_is_done_while_nothing_changes(world: World) -> None:
    material = world.files.current
    await world.reload()
    assert world.files.current is material
    assert world.value(catalogue.TLS_RELOAD_TOTAL) == 1
