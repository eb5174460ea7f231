"""What a process tells whoever started it, and how it notices that they are gone."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
import structlog

from perdure.app.parent import LIFELINE, READY, Parent
from waiting import until


@pytest.fixture
def systemd(tmp_path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    return listening


def test_systemd_is_told(systemd: socket.socket) -> None:
    with systemd:
        parent = Parent({"NOTIFY_SOCKET": systemd.getsockname()})
        parent.ready()
        parent.stopping()
        assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0perdure-test-{os.getpid()}")
        Parent({"NOTIFY_SOCKET": f"@perdure-test-{os.getpid()}"}).ready()
        assert listening.recv(100) == b"READY=1"


def test_a_systemd_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        Parent({"NOTIFY_SOCKET": str(tmp_path / "nothing")}).ready()
    assert [line["event"] for line in logs] == ["systemd cannot be told"]


def test_nobody_asks() -> None:
    parent = Parent({})
    parent.ready()
    parent.stopping()
    assert not parent.supervises


async def test_a_supervisor_is_told_and_missed() -> None:
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    environment = {LIFELINE: str(theirs.detach()), "NOTIFY_SOCKET": "/nowhere"}
    parent = Parent(environment)
    assert parent.supervises
    assert LIFELINE not in environment
    gone = 0

    def on_gone() -> None:
        nonlocal gone
        gone += 1

    parent.watch(on_gone)
    parent.ready()
    parent.stopping()
    assert ours.recv(100) == READY
    assert gone == 0
    ours.close()
    await until(lambda: gone == 1)
    parent.ready()
    await asyncio.sleep(0)
    assert gone == 1
