"""How processes are started, watched, started again and ended."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger

from perdure.app.supervisor import Restarts, Supervisor
from unit.app.children import REFUSED, SERVES, STUBBORN, counting, script, starts
from waiting import until, until_sync

PATIENT = 30.0
AT_ONCE = Restarts(first_seconds=0.001, longest_seconds=0.002, refused_seconds=PATIENT)


class Watched:
    """A supervisor of stand-ins, and what it told."""

    def __init__(
        self,
        sources: Mapping[str, str],
        *,
        drain_seconds: float = PATIENT,
        restarts: Restarts = AT_ONCE,
        **parameters: Any,
    ) -> None:
        self.told = CapturingLogger()
        self.times_ready = 0
        log: FilteringBoundLogger = self.told  # type: ignore[assignment]
        self.supervisor = Supervisor(
            names=list(sources),
            command=lambda name: script(sources[name]),
            drain_seconds=drain_seconds,
            log=log,
            on_ready=self._ready,
            restarts=restarts,
            **parameters,
        )
        self.running = asyncio.create_task(self.supervisor.run())

    def _ready(self) -> None:
        self.times_ready += 1

    def logged(self, message: str) -> list[dict[str, Any]]:
        return [dict(call.kwargs) for call in self.told.calls if call.args == (message,)]

    async def stopped(self) -> int:
        self.supervisor.stop.set()
        return await self.running


async def test_it_is_ready_when_all_are_and_ends_them(capfd: pytest.CaptureFixture[str]) -> None:
    watched = Watched({"a": SERVES, "b": SERVES})
    await until(lambda: watched.times_ready == 1)
    assert await watched.stopped() == 0
    ended = watched.logged("process has ended")
    assert sorted(end["process"] for end in ended) == ["a", "b"]
    assert [end["exit_code"] for end in ended] == [0, 0]
    assert capfd.readouterr().out == "serving None\nserving None\n"


async def test_children_do_not_speak_to_systemd(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody")
    watched = Watched({"a": SERVES})
    await until(lambda: watched.times_ready == 1)
    assert await watched.stopped() == 0
    assert capfd.readouterr().out == "serving None\n"


async def test_one_that_dies_is_started_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    watched = Watched({"a": counting(count, SERVES), "b": SERVES})
    await until(lambda: watched.times_ready == 1)
    (pid,) = [line["pid"] for line in watched.logged("process is ready") if line["process"] == "a"]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: len(watched.logged("process is ready")) == 3)
    assert starts(count) == 2
    assert watched.times_ready == 1
    assert watched.logged("process has ended") == [
        {"process": "a", "pid": pid, "signal": "SIGKILL"}
    ]
    assert await watched.stopped() == 0


async def test_one_that_dies_of_a_signal_without_a_name() -> None:
    source = "import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)"
    watched = Watched({"a": source})
    await until(lambda: bool(watched.logged("process has ended")))
    assert await watched.stopped() == 0
    assert watched.logged("process has ended")[0]["signal"] == str(signal.SIGRTMIN + 3)


async def test_one_that_is_refused_again_and_again_ends_all(tmp_path: Path) -> None:
    count = tmp_path / "count"
    watched = Watched({"a": SERVES, "b": counting(count, REFUSED)})
    assert await watched.running == 1
    assert starts(count) == 3
    assert watched.logged("a process cannot start: stopping") == [{"process": "b"}]


async def test_one_that_takes_long_to_be_refused_is_given_up_at_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    source = counting(count, REFUSED)
    watched = Watched({"a": SERVES, "b": source}, restarts=replace(AT_ONCE, refused_seconds=0.0))
    assert await watched.running == 1
    assert starts(count) == 1


async def test_one_that_was_ready_once_is_never_given_up(tmp_path: Path) -> None:
    count, flag = tmp_path / "count", tmp_path / "flag"
    source = f"""
import pathlib
if pathlib.Path({str(flag)!r}).exists():
    raise SystemExit(1)
pathlib.Path({str(flag)!r}).touch()
{SERVES}"""
    watched = Watched({"a": counting(count, source)})
    await until(lambda: watched.times_ready == 1)
    os.kill(watched.logged("process is ready")[0]["pid"], signal.SIGTERM)
    await until(lambda: starts(count) > 5)
    assert await watched.stopped() == 0


async def test_another_failure_between_refusals_starts_the_count_anew(tmp_path: Path) -> None:
    count = tmp_path / "count"
    source = f"""
if open({str(count)!r}).read().count("started") % 3 == 0:
    raise SystemExit(7)
raise SystemExit(1)"""
    watched = Watched({"a": counting(count, source)})
    await until(lambda: starts(count) > 7)
    assert await watched.stopped() == 0


async def test_a_program_that_is_missing_is_tried_again() -> None:
    watched = Watched({"a": SERVES})
    watched.supervisor._command = lambda _: ["/no/such/program"]
    await until(lambda: len(watched.logged("a process cannot be started")) > 1)
    assert await watched.stopped() == 0


async def test_one_that_does_not_stop_is_killed() -> None:
    watched = Watched({"a": STUBBORN}, drain_seconds=0.05)
    await until(lambda: watched.times_ready == 1)
    assert await watched.stopped() == 0
    assert watched.logged("processes did not stop in time: killing") == [{"processes": "a"}]
    assert watched.logged("process has ended")[0]["signal"] == "SIGKILL"


async def test_a_hangup_is_passed_on(tmp_path: Path) -> None:
    # Reading what processes print while they print it can lose some of it.
    heard = tmp_path / "heard"
    heard.touch()
    serves = SERVES.replace(
        'print("hangup", flush=True)', f"open({str(heard)!r}, 'a').write('hangup\\n')"
    )
    assert serves != SERVES
    watched = Watched({"a": serves, "b": serves})
    await until(lambda: watched.times_ready == 1)
    watched.supervisor.send(signal.SIGHUP)
    await until(lambda: heard.read_text().count("hangup") == 2)
    assert await watched.stopped() == 0


async def test_a_hangup_spares_what_starts(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    source = f"""
import pathlib, time
while not pathlib.Path({str(gate)!r}).exists():
    time.sleep(0.001)
{SERVES}"""
    watched = Watched({"a": source})
    await until(lambda: bool(watched.logged("process has started")))
    watched.supervisor.send(signal.SIGHUP)
    gate.touch()
    await until(lambda: watched.times_ready == 1)
    assert len(watched.logged("process has started")) == 1
    assert await watched.stopped() == 0


@pytest.mark.parametrize("stop_after", [0, 1, 2, 5])
async def test_a_stop_while_things_start_leaves_nothing(stop_after: int) -> None:
    watched = Watched({"a": SERVES, "b": SERVES})
    for _ in range(stop_after):
        await asyncio.sleep(0)
    assert await watched.stopped() == 0
    started = {line["pid"] for line in watched.logged("process has started")}
    assert {line["pid"] for line in watched.logged("process has ended")} == started


SUPERVISE = f"""
import asyncio, pathlib, sys
from perdure.app import supervisor
from perdure.config.processes import Process
from perdure.config.static import ServerConfig
from perdure.telemetry import logging
logging.configure("info", "json")
supervisor.PERDURE = {(*script(STUBBORN),)!r}
config = ServerConfig()
planned = [Process("a", config), Process("b", config)]
sys.exit(asyncio.run(supervisor._supervise(pathlib.Path("perdure.yml"), config, planned)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_kills_at_once(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "log"
    with log.open("w") as output:
        command = [sys.executable, "-c", SUPERVISE]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until_sync(lambda: "Processes: a, b" in log.read_text("utf-8"))
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        process.send_signal(number)
        # Two signals of one kind are one until the first has been taken in.
        until_sync(lambda: '"msg": "stopping"' in log.read_text("utf-8"))
        assert [child.is_running() for child in children] == [True, True]
        process.send_signal(number)
        assert process.wait(PATIENT) == 128 + number
        assert psutil.wait_procs(children, timeout=PATIENT)[1] == []
    finally:
        process.kill()
        process.wait()


def test_a_supervisor_never_imports_grpc() -> None:
    source = "import perdure.app.start, sys; print('grpc' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", source]) == b"False\n"


async def test_pauses_grow_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    now = 0.0

    async def run_once(name: str, record: object) -> int:
        nonlocal now
        now += 60.0 if len(pauses) == 7 else 1.0
        return 7

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            supervisor.stop.set()

    supervisor = Supervisor(
        names=["a"],
        command=lambda _: [],
        drain_seconds=PATIENT,
        log=CapturingLogger(),  # type: ignore[arg-type]
    )
    monkeypatch.setattr(supervisor, "_run_once", run_once)
    monkeypatch.setattr(supervisor, "_pause", pause)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    await supervisor._keep("a")
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 1.0, 2.0]
