"""What SQLite has acknowledged is on disk: seen in system calls, and after kill -9."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from contract.rows import NAMESPACE
from perdure.persistence.opening import open_store
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

PROGRAM = Path(__file__).with_name("sqlite_committer.py")
COMMITS = 20
ROUNDS = 8


def environment() -> dict[str, str]:
    root = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": f"{root / 'server'}:{root / 'tests'}"}


def command(path: Path, first: int, count: int) -> list[str]:
    return [sys.executable, str(PROGRAM), str(path), str(first), str(count)]


def test_every_acknowledgement_follows_a_sync_of_the_log(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    assert strace, "this test needs strace: apt-get install strace"
    trace = tmp_path / "trace"
    options = ["-f", "-y", "-o", str(trace), "-e", "trace=fdatasync,fsync,write"]
    traced = [strace, *options, *command(tmp_path / "perdure.db", 0, COMMITS)]
    subprocess.run(traced, env=environment(), check=True, capture_output=True, timeout=120)
    synced, unsynced, acknowledged = False, [], 0
    for line in trace.read_text().splitlines():
        # A call that another thread's output interrupts ends on a line of its own.
        if re.search(r"f(data)?sync(\(| resumed)", line) and line.rstrip().endswith("= 0"):
            synced = True
        elif found := re.search(r'write\(1<.*?"ack (\d+)', line):
            acknowledged += 1
            if not synced:
                unsynced.append(found[1])
            synced = False
    assert acknowledged == COMMITS
    assert unsynced == []


async def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    path, generator = tmp_path / "perdure.db", random.Random(7)
    acknowledged: list[int] = []
    for round_number in range(ROUNDS):
        first = round_number * 100_000
        child = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
            command(path, first, 100_000), env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        wanted = generator.randrange(1, 40)
        for line in child.stdout:
            acknowledged.append(int(line.split()[1]))
            wanted -= 1
            if not wanted:
                child.send_signal(signal.SIGKILL)
                break
        acknowledged += [int(line.split()[1]) for line in child.stdout if line.endswith("\n")]
        child.stdout.close()
        assert child.wait(timeout=60) == -signal.SIGKILL
    store = await open_store("sqlite", ids=SystemIds(clock=SystemClock()), path=str(path))
    lost = [
        number
        for number in acknowledged
        if await store.load_current(NAMESPACE, f"workflow-{number}") is None
    ]
    await store.close()
    assert len(acknowledged) >= ROUNDS
    assert lost == []
