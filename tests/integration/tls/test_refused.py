"""Who is not let in, and what nobody is let in with."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from xml.etree.ElementTree import fromstring

import grpc
import pytest

from authority import CLIENT, DAY, SERVER, Authority
from integration.tls.ports import World, answer_to, ask, serving
from perdure.config.ciphers import CIPHER_SUITES

OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving(tmp_path) as made:
        yield made


async def test_a_client_of_the_authority_is_let_in(world: World) -> None:
    assert await answer_to(world, world.authority.issue(usages=(CLIENT,))) is OK


async def test_a_client_of_an_intermediate_is_let_in(world: World) -> None:
    intermediate = world.authority.intermediate("below")
    assert await answer_to(world, intermediate.issue(usages=(CLIENT,))) is OK


async def test_a_client_without_a_certificate_is_refused(world: World) -> None:
    assert await answer_to(world, None) is UNAVAILABLE


async def test_a_client_of_another_authority_is_refused(world: World) -> None:
    # Of the same name: what counts is the key.
    assert await answer_to(world, Authority("root").issue()) is UNAVAILABLE


async def test_an_expired_client_is_refused(world: World) -> None:
    expired = world.authority.issue(begins=-2 * DAY, expires=-timedelta(minutes=1))
    assert await answer_to(world, expired) is UNAVAILABLE


async def test_a_client_of_tomorrow_is_refused(world: World) -> None:
    assert await answer_to(world, world.authority.issue(begins=DAY)) is UNAVAILABLE


async def test_a_server_certificate_does_not_make_a_client(world: World) -> None:
    assert await answer_to(world, world.authority.issue(usages=(SERVER,))) is UNAVAILABLE


async def test_a_client_refuses_a_port_of_another_name(world: World) -> None:
    client = world.authority.issue()
    assert await answer_to(world, client, name="elsewhere.example.com") is UNAVAILABLE
    assert await answer_to(world, client, name="localhost") is OK


async def test_a_client_refuses_a_port_of_another_authority(world: World) -> None:
    client = world.authority.issue()
    assert await answer_to(world, client, trust=Authority("root").pem) is UNAVAILABLE


async def test_plain_text_is_refused(world: World) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{world.port}") as plain:
        assert await ask(plain) is UNAVAILABLE


async def openssl(world: World, *arguments: str) -> str:
    """Makes a handshake by another library than the server's; returns what it says of it."""
    client = world.authority.issue().write(world.folder / "client")
    command = [
        *("openssl", "s_client", "-connect", f"127.0.0.1:{world.port}", "-alpn", "h2"),
        *("-cert", str(client.certificate), "-key", str(client.key)),
        *("-CAfile", str(world.folder / "trust.pem"), "-verify_return_error", *arguments),
    ]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        input="Q\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=30,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
async def test_versions_of_today_are_spoken(world: World, version: str) -> None:
    said = await openssl(world, f"-{version}")
    assert "Verify return code: 0 (ok)" in said, said
    assert "Cipher is (NONE)" not in said


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
async def test_older_versions_are_refused(world: World, version: str) -> None:
    # Debian's library would not even offer them at its usual level.
    said = await openssl(world, f"-{version}", "-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" in said, said
    assert "written 0 bytes" not in said, said


@pytest.mark.parametrize(
    "ciphers",
    [
        *("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256"),
        *("ECDHE-ECDSA-CHACHA20-POLY1305", "NULL", "AECDH", "3DES:RC4"),
    ],
)
async def test_other_ciphers_are_refused(world: World, ciphers: str) -> None:
    said = await openssl(world, "-tls1_2", "-cipher", f"{ciphers}:@SECLEVEL=0")
    assert "Cipher is (NONE)" in said or "no cipher match" in said, said


async def test_a_scanner_finds_what_is_meant_and_nothing_else(world: World) -> None:
    scanner = shutil.which("sslscan")
    if scanner is None:
        pytest.skip("sslscan is missing: apt-get install sslscan")
    client = world.authority.issue().write(world.folder / "client")
    command = [
        *(scanner, "--no-colour", "--xml=-", "--no-check-certificate"),
        *(f"--certs={client.certificate}", f"--pk={client.key}", f"127.0.0.1:{world.port}"),
    ]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=True
    )
    found = fromstring(done.stdout)  # noqa: S314 what our own scanner says
    spoken = {
        f"{each.get('type')} {each.get('version')}"
        for each in found.iter("protocol")
        if each.get("enabled") == "1"
    }
    assert spoken == {"tls 1.2", "tls 1.3"}, done.stdout
    accepted = {each.get("cipher") for each in found.iter("cipher")}
    assert accepted <= set(CIPHER_SUITES.split(":"))
    assert {"TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"} <= accepted
    (heartbleed,) = {each.get("vulnerable") for each in found.iter("heartbleed")}
    assert heartbleed == "0"


async def test_a_resumed_session_does_not_outlive_its_authority(world: World) -> None:
    """A ticket of before the change must not let in whom the new authorities do not."""
    folder = world.folder / "session"
    folder.mkdir()
    ticket = folder / "ticket"
    first = await openssl(world, "-tls1_2", "-sess_out", str(ticket))
    assert ticket.exists(), first
    assert "Reused" in await openssl(world, "-tls1_2", "-sess_in", str(ticket))
    (world.folder / "trust.pem").unlink()
    (world.folder / "trust.pem").write_bytes(Authority("other").pem)
    await world.reload()
    said = await openssl(world, "-tls1_2", "-sess_in", str(ticket), "-no_verify")
    assert "Reused" not in said, said
