"""What README says can be done, word for word: its commands, its program, its configuration.

Only what would be in the way of another server on this machine is changed: ports, and where the
database is.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.targets import free_port
from contract.cluster import PostgresCluster
from waiting import until_sync

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
SECONDS = 60.0

UP = "./dev up"
OBSERVE = "./dev up --observe"
TEST = "./dev test"
HELLO = ".venv/bin/python hello.py"
LIST = ".venv/bin/temporal workflow list"
SHOW = ".venv/bin/temporal workflow show --workflow-id hello-1"
SETUP = ".venv/bin/perdure db setup --config cluster.yaml"
START = ".venv/bin/perdure server start --config cluster.yaml"
STATUS = ".venv/bin/perdure cluster status --config cluster.yaml"


def block(language: str) -> str:
    """Returns the one block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return str(found)


def command(line: str, *more: str) -> list[str]:
    """Returns a command of README as it is run here; `.venv` is wherever this runs."""
    program, *arguments = line.split()
    if program.startswith(".venv/bin/"):
        program = str(BIN / Path(program).name)
    return [program, *arguments, *more]


def output_of(line: str, *more: str, folder: Path) -> str:
    """Runs a command to its end; returns what it printed."""
    done = subprocess.run(
        command(line, *more),
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    # The Python SDK's runtime may crash an interpreter that is ending, whatever the server.
    assert done.returncode == 0 or line == HELLO, (
        f"{line} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def ends_well(line: str, *, folder: Path, names: Sequence[str]) -> bool:
    """Tells whether a command ends with 0, and prints some names."""
    done = subprocess.run(command(line), check=False, cwd=folder, capture_output=True, text=True)
    return done.returncode == 0 and all(name in done.stdout for name in names)


@contextmanager
def running(arguments: Sequence[str], *, folder: Path, until: str) -> Iterator[None]:
    """Runs a command until the block ends, which begins when it has printed a text."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, cwd=folder, stdout=output, stderr=output)
    try:
        until_sync(lambda: until in log.read_text() or process.poll() is not None, SECONDS)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SECONDS)
        finally:
            process.kill()


def test_every_command_is_run_here() -> None:
    indented = re.findall(
        r"^    (\S.*)$", re.sub(r"```.*?```", "", README, flags=re.DOTALL), re.MULTILINE
    )
    # The tests themselves are what `./dev test` runs; `test_observed` runs the second.
    assert indented == [UP, OBSERVE, TEST, HELLO, LIST, SHOW, SETUP, START, STATUS]


def test_the_first_workflow(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    port = address.partition(":")[2]
    up = [str(ROOT / "dev"), *UP.split()[1:], "--in-memory", "--port", port, "--metrics-port", "0"]
    (tmp_path / "hello.py").write_text(block("python").replace("127.0.0.1:7233", address))
    with running(up, folder=tmp_path, until=address):
        assert output_of(HELLO, folder=tmp_path) == "Hello, you!\n"
        assert "hello-1" in output_of(LIST, "--address", address, folder=tmp_path)
        shown = output_of(SHOW, "--address", address, folder=tmp_path)
        assert "WorkflowExecutionCompleted" in shown
        assert "Hello, you!" in shown


@pytest.mark.postgres
def test_the_cluster(tmp_path: Path) -> None:
    postgres = PostgresCluster.start()
    try:
        configuration = block("yaml")
        address = f"127.0.0.1:{free_port()}"
        for old, new in (
            ("postgresql://perdure@127.0.0.1/perdure", f'"{postgres.create_database()}"'),
            ("port: 7233", f"port: {address.partition(':')[2]}"),
            ("port: 7240", "port: 0"),
            ("port: 9090", "port: 0"),
        ):
            assert old in configuration
            configuration = configuration.replace(old, new)
        (tmp_path / "cluster.yaml").write_text(configuration)
        (tmp_path / "hello.py").write_text(block("python").replace("127.0.0.1:7233", address))
        output_of(SETUP, folder=tmp_path)
        with running(command(START), folder=tmp_path, until="Processes:"):
            assert output_of(HELLO, folder=tmp_path) == "Hello, you!\n"
            # Shards move when the second history node has come: then the status is not 0.
            nodes = ("frontend-1", "history-1", "matching-0")
            until_sync(lambda: ends_well(STATUS, folder=tmp_path, names=nodes), SECONDS)
    finally:
        postgres.stop()
