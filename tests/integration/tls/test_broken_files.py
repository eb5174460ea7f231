"""Files that are broken when they are read again: what was read before stays in use."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from authority import CLIENT, DAY, Authority, replace
from integration.tls.ports import World, answer_to, ask, channel, serving
from perdure.telemetry import tls_catalogue as catalogue

OK = grpc.StatusCode.OK
CERTIFICATE, KEY, TRUST, DENIED = "certificate.pem", "key.pem", "trust.pem", "denied.json"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    replace(tmp_path / DENIED, b'{"serials": [], "spiffeIds": []}')
    async with serving(tmp_path, tls={"denyFile": str(tmp_path / DENIED)}) as made:
        yield made


def truncated(world: World) -> None:
    path = world.folder / CERTIFICATE
    replace(path, path.read_bytes()[:-60])


def chain_without_its_end(world: World) -> None:
    whole = world.authority.intermediate("below").issue()
    whole.write(world.folder)
    replace(world.folder / CERTIFICATE, whole.chain[:-60])


def empty(world: World) -> None:
    replace(world.folder / CERTIFICATE, b"")


def no_pem(world: World) -> None:
    replace(world.folder / CERTIFICATE, b"hello\n")


def damaged(world: World) -> None:
    path = world.folder / CERTIFICATE
    replace(path, path.read_bytes().replace(b"\nMII", b"\nAAA"))


def unordered(world: World) -> None:
    leaf = world.authority.issue()
    replace(world.folder / CERTIFICATE, leaf.chain + Authority("other").pem)
    replace(world.folder / KEY, leaf.key, mode=0o400)


def expired(world: World) -> None:
    world.authority.issue(begins=-2 * DAY, expires=-DAY).write(world.folder)


def not_yet_valid(world: World) -> None:
    world.authority.issue(begins=DAY).write(world.folder)


def of_no_server(world: World) -> None:
    world.authority.issue(usages=(CLIENT,)).write(world.folder)


def wrong_key(world: World) -> None:
    replace(world.folder / KEY, world.authority.issue().key, mode=0o400)


def readable_key(world: World) -> None:
    (world.folder / KEY).chmod(0o444)


def no_key(world: World) -> None:
    replace(world.folder / KEY, world.authority.pem, mode=0o400)


def missing(world: World) -> None:
    (world.folder / KEY).unlink()


def loop(world: World) -> None:
    (world.folder / CERTIFICATE).unlink()
    (world.folder / CERTIFICATE).symlink_to(CERTIFICATE)


def folder(world: World) -> None:
    (world.folder / CERTIFICATE).unlink()
    (world.folder / CERTIFICATE).mkdir()


def half_a_trust(world: World) -> None:
    replace(world.folder / TRUST, world.authority.pem + Authority("new").pem[:200])


def no_list(world: World) -> None:
    replace(world.folder / DENIED, b'{"serials": "all"}')


def half_a_list(world: World) -> None:
    replace(world.folder / DENIED, b'{"serials": ["1')


def missing_list(world: World) -> None:
    (world.folder / DENIED).unlink()


BREAK: dict[str, tuple[Callable[[World], None], str, str]] = {
    "truncated": (truncated, CERTIFICATE, "is cut off within a certificate"),
    "chain": (chain_without_its_end, CERTIFICATE, "is cut off within a certificate"),
    "empty": (empty, CERTIFICATE, "is empty"),
    "no PEM": (no_pem, CERTIFICATE, "holds no certificates in PEM"),
    "damaged": (damaged, CERTIFICATE, "holds no certificates in PEM, or a damaged one"),
    "unordered": (unordered, CERTIFICATE, 'holds "CN=leaf" before "CN=other"'),
    "expired": (expired, CERTIFICATE, "expired on"),
    "not yet valid": (not_yet_valid, CERTIFICATE, "is not valid before"),
    "usage": (of_no_server, CERTIFICATE, "is not a certificate for servers"),
    "wrong key": (wrong_key, KEY, "is not the key of the certificate"),
    "readable key": (readable_key, KEY, "has the mode 0444"),
    "no key": (no_key, KEY, "holds no private key"),
    "missing": (missing, KEY, "does not exist"),
    "loop": (loop, CERTIFICATE, "is a loop of symbolic links"),
    "folder": (folder, CERTIFICATE, "is not a file"),
    "trust": (half_a_trust, TRUST, "is cut off within a certificate"),
    "list": (no_list, DENIED, 'is not a deny list: "serials" must be'),
    "half a list": (half_a_list, DENIED, "is not JSON"),
    "missing list": (missing_list, DENIED, "does not exist"),
}


@pytest.mark.parametrize("case", BREAK)
async def test_a_broken_file_changes_nothing(world: World, case: str) -> None:
    break_it, name, reason = BREAK[case]
    before, path = world.files.current, str(world.folder / name)
    client = world.authority.issue()
    async with channel(world, client) as kept:
        assert await ask(kept) is OK
        break_it(world)
        with capture_logs() as logs:
            await world.reload()
        assert world.files.current is before
        assert await ask(kept) is OK
    assert await answer_to(world, client) is OK
    (line,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert line["file"] == path
    assert line["error"].startswith(f"{path} {reason}")
    assert readings(world) == {"changed": 1, "failed": 1, "unchanged": 0}


async def test_files_that_are_whole_again_are_used(world: World) -> None:
    truncated(world)
    await world.reload()
    leaf = world.authority.issue()
    leaf.write(world.folder)
    with capture_logs() as logs:
        await world.reload()
    assert world.files.current.frontend is not None
    assert world.files.current.frontend.pairs[0].chain == leaf.chain
    assert "certificates can be read again" in [entry["event"] for entry in logs]
    assert readings(world) == {"changed": 2, "failed": 1, "unchanged": 0}


async def test_broken_files_are_said_once(world: World) -> None:
    truncated(world)
    with capture_logs() as logs:
        await world.reload()
        (world.folder / KEY).touch()
        await world.reload()
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert readings(world)["failed"] == 2


async def test_every_broken_file_is_named(world: World) -> None:
    truncated(world)
    half_a_trust(world)
    half_a_list(world)
    with capture_logs() as logs:
        await world.reload()
    for name in (CERTIFICATE, TRUST, DENIED):
        assert str(world.folder / name) in logs[0]["error"]


def readings(world: World) -> dict[str, float]:
    """Returns how often files were read, by what came of it."""
    return {
        result: world.value(catalogue.TLS_RELOAD_TOTAL, result=result)
        for result in ("changed", "failed", "unchanged")
    }
