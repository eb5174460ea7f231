"""What docs/operations/tls.md says can be done, word for word: commands, program, files.

Only ports are changed, since another server may run on this machine.
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.targets import free_port
from perdure.config import file
from waiting import until_sync

PAGE = (Path(__file__).parents[3] / "docs/operations/tls.md").read_text("utf-8")
BIN = Path(sys.executable).parent
SECONDS = 60.0
COMMANDS = re.findall(
    r"^    (\S.*)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE
)
INIT, *ISSUE = [line for line in COMMANDS if line.startswith("perdure tls i")]
(REVOKE,) = [line for line in COMMANDS if line.startswith("perdure tls r")]
CHECK, START = [line for line in COMMANDS if line.endswith("server.yaml")]
(HELLO,) = [line for line in COMMANDS if line.startswith("python")]
(LIST,) = [line for line in COMMANDS if line.startswith("temporal")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(line: str, folder: Path, *, ends_with: int = 0) -> str:
    """Runs a command of the page in a folder; returns what it prints."""
    done = subprocess.run(
        command(line), cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    # The Python SDK's runtime may crash an interpreter that is ending, whatever the server.
    assert done.returncode == ends_with or line == HELLO, done.stdout + done.stderr
    return done.stdout


def command(line: str) -> list[str]:
    """Returns a command as it is run here: by this interpreter, and with its programs."""
    program, *arguments = line.split()
    if line.startswith("perdure tls "):
        code = "from perdure_tls.cli import command; command()"
        return [sys.executable, "-c", code, *arguments[1:]]
    if program == "python":
        return [sys.executable, *arguments]
    return [str(BIN / program), *arguments]


@contextmanager
def server(folder: Path) -> Iterator[None]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command(START), cwd=folder, stdout=output, stderr=output)
    try:
        until_sync(lambda: "Database" in log.read_text() or process.poll() is not None, SECONDS)
        assert process.poll() is None, log.read_text()
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which the page was followed up to the server's start."""
    port = str(free_port())
    configuration, *_ = blocks("yaml")
    text = configuration.replace("7233", port).replace("9090", "0")
    (tmp_path / "server.yaml").write_text(text)
    (program,) = blocks("python")
    (tmp_path / "hello.py").write_text(program.replace("7233", port))
    (tmp_path / "port").write_text(port)
    for line in (INIT, *ISSUE):
        run(line, tmp_path)
    return tmp_path


def test_every_command_is_run_here() -> None:
    assert len(COMMANDS) == 1 + len(ISSUE) + 6
    # The remaining one is a connection string.
    assert [line for line in COMMANDS if line.startswith("postgresql://")]


def test_a_worker_and_the_cli_over_mutual_tls(folder: Path) -> None:
    assert "is a valid configuration" in run(CHECK, folder)
    with server(folder):
        listing = LIST.replace("7233", (folder / "port").read_text())
        assert run(HELLO, folder) == "Hello, you!\n"
        assert "hello-1" in run(listing, folder)
        without = listing.partition(" --tls-cert-path")[0]
        run(without, folder, ends_with=1)
        # The worker's host has them still.
        worker = folder / "perdure-tls" / "certificates" / "worker"
        kept = shutil.copytree(worker, folder / "kept", symlinks=True)
        run(REVOKE, folder)
        shutil.copytree(kept, worker, symlinks=True)
        until_sync(lambda: refused(folder), SECONDS)
        assert "hello-1" in run(listing, folder)


def refused(folder: Path) -> bool:
    done = subprocess.run(
        command(HELLO), cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return "the certificate of this client was revoked" in done.stderr


def test_the_other_files_have_keys_that_exist(tmp_path: Path) -> None:
    for number, block in enumerate(blocks("yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        file.read(path, {})
