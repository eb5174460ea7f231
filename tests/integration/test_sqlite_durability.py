"""What SQLite has acknowledged is on disk: seen in system calls, and after kill -9."""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contract.rows import NAMESPACE
from contract.users import as_nobody
from integration.sqlite_committer import size_of, workflow_id
from perdure.persistence.opening import open_store
from perdure.persistence.ports import StartupError, Store
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

PROGRAM = Path(__file__).with_name("sqlite_committer.py")
COMMITS = 20
ROUNDS = 12
MOST_COMMITS_OF_A_ROUND = 150
EACH_ROUND = 100_000
"""The numbers of a round's batches start at a multiple of this."""
HISTORY_BYTES = 60_000
"""Large enough that checkpoints, which come after 16 MiB of log, are killed too."""


def environment() -> dict[str, str]:
    root = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": f"{root / 'server'}:{root / 'tests'}"}


def command(path: Path, first: int, count: int, history_bytes: int = 100) -> list[str]:
    numbers = map(str, (first, count, history_bytes))
    return [sys.executable, str(PROGRAM), str(path), *numbers]


async def opened(path: Path) -> Store:
    return await open_store("sqlite", ids=SystemIds(clock=SystemClock()), path=str(path))


@pytest.fixture
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        reason = "This test reads system calls with strace: apt-get install strace"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Log:
    """Follows the log file through the lines of a trace, one system call each."""

    dirty: bool = False
    syncs: int = 0
    """Since the acknowledgement before."""
    syncing: set[str] = field(default_factory=set)
    """Threads inside a sync of the log: another thread's output may cut a call in two."""
    acknowledged: list[tuple[int, int, bool]] = field(default_factory=list)
    """Number, syncs since the one before, and whether something was not synced."""

    def follow(self, line: str) -> None:
        thread = line.split(maxsplit=1)[0]
        if re.search(r"pwrite64\(\d+<[^>]*-wal>", line):
            self.dirty = True
        elif re.search(r"f(data)?sync\(\d+<[^>]*-wal>", line):
            self.syncing.add(thread)
        if thread in self.syncing and line.rstrip().endswith("= 0"):
            self.syncing.discard(thread)
            self.syncs += 1
            self.dirty = False
        elif found := re.search(r'write\(1<.*?"ack (\d+)', line):
            self.acknowledged.append((int(found[1]), self.syncs, self.dirty))
            self.syncs = 0


def test_each_acknowledgement_follows_one_sync_of_the_log(tmp_path: Path, strace: str) -> None:
    trace = tmp_path / "trace"
    options = ["-f", "-y", "-o", str(trace), "-e", "trace=fdatasync,fsync,write,pwrite64"]
    traced = [strace, *options, *command(tmp_path / "perdure.db", 0, COMMITS)]
    subprocess.run(traced, env=environment(), check=True, capture_output=True, timeout=120)
    log = Log()
    for line in trace.read_text().splitlines():
        log.follow(line)
    first, *others = log.acknowledged
    assert first[1] >= 1, "the schema, the shard and the first batch were not synced"
    assert [first[0], first[2]] == [0, False]
    assert others == [(number, 1, False) for number in range(1, COMMITS)]


@contextmanager
def committing(path: Path, first: int) -> Iterator[subprocess.Popen[str]]:
    """A process that commits until it is killed, which happens at the end of the block."""
    arguments = command(path, first, EACH_ROUND, HISTORY_BYTES)
    with subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def killed_at_random(path: Path, first: int, generator: random.Random) -> list[int]:
    """Returns the batches that a process acknowledged before kill -9 met it."""
    with committing(path, first) as child:
        assert child.stdout is not None
        wanted = generator.randrange(1, MOST_COMMITS_OF_A_ROUND)
        lines = [child.stdout.readline() for _ in range(wanted)]
        for _ in range(generator.randrange(3_000)):
            os.sched_yield()
        child.kill()
        lines += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    return [int(line.split()[1]) for line in lines if line.endswith("\n")]


async def missing(store: Store, numbers: Sequence[int]) -> list[str]:
    """Returns the workflows of these batches that the store does not have whole."""
    names = [workflow_id(number, at) for number in numbers for at in range(size_of(number))]
    lost = []
    for name in names:
        run = await store.load_current(NAMESPACE, name)
        if run is None or not await store.read_history(run.key, 1, 3, 1):
            lost.append(name)
    return lost


async def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    path, generator = tmp_path / "perdure.db", random.Random(7)
    acknowledged: list[int] = []
    for first in range(0, ROUNDS * EACH_ROUND, EACH_ROUND):
        acknowledged += killed_at_random(path, first, generator)
        store = await opened(path)
        assert await missing(store, acknowledged) == []
        in_flight = acknowledged[-1] + 1
        assert len(await missing(store, [in_flight])) in {0, size_of(in_flight)}, "half a batch"
        await store.close()
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


async def test_a_second_server_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    with committing(path, 0) as first:
        assert first.stdout is not None
        first.stdout.readline()
        with pytest.raises(StartupError) as refused:
            await opened(path)
        assert re.fullmatch(
            r"The [^\n]*in use[^\n]*: stop that one, or [^\n]*\.", str(refused.value)
        )
    store = await opened(path)
    assert await missing(store, [0]) == []
    await store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_new_file_in_a_folder_that_this_user_may_not_write(tmp_path: Path) -> None:
    with (
        as_nobody(tmp_path),
        pytest.raises(StartupError, match="give this user the right to write") as refused,
    ):
        await opened(tmp_path / "perdure.db")
    assert "\n" not in str(refused.value)
