"""The official TypeScript SDK works against Perdure, and its test environment starts Perdure.

A sample of scenarios runs on the real dev server too: what the SDK's users see must be the same.
"""

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.compare import differing
from conformance.targets import dev_server, oracle_command, perdure_command, perdure_executable

FOLDER = Path(__file__).parent / "typescript"
INSTALL_SECONDS = 600.0
RUN_SECONDS = 100.0
SCENARIOS = 11
EXPECTED = {
    "result": ["Hello, TypeScript!", "attempt 2", "bye"],
    "status": "COMPLETED",
    "memo": {"language": "TypeScript"},
}

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + RUN_SECONDS)


@pytest.fixture(scope="module")
def node() -> Path:
    """The pinned Node.js, with the packages of package-lock.json installed beside the sources."""
    modules = FOLDER / "node_modules"
    wanted = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    made_from = modules / ".made-from"
    if not made_from.exists() or made_from.read_text() != wanted:
        # Not `npm ci`: it refuses a lock without the optional packages of other platforms.
        run(["npm", "install", "--no-save", "--ignore-scripts"], seconds=INSTALL_SECONDS)
        made_from.write_text(wanted)
    machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    return modules / f"node-linux-{machine}" / "bin" / "node"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with dev_server(perdure_command()) as server:
        yield server.address


def test_hello_world(node: Path, address: str) -> None:
    assert saw(run([str(node), "src/connect.ts", address], seconds=RUN_SECONDS)) == EXPECTED


def test_create_local_starts_perdure(node: Path) -> None:
    command = [str(node), "src/create-local.ts", str(perdure_executable())]
    assert saw(run(command, seconds=RUN_SECONDS)) == EXPECTED


def test_scenarios_end_as_on_the_real_server(node: Path) -> None:
    expected, seen = (scenarios(node, command) for command in (oracle_command(), perdure_command()))
    assert list(differing(expected, seen)) == []
    assert len(expected) == SCENARIOS
    assert expected["updates"]["sum"] == 11


def scenarios(node: Path, server_command: list[str]) -> Any:
    """Returns what every scenario saw on a server of its own, by name."""
    with dev_server(server_command) as server:
        return saw(run([str(node), "src/run-scenarios.ts", server.address], seconds=RUN_SECONDS))


def run(command: list[str], *, seconds: float) -> str:
    """Runs a command in the TypeScript project and returns what it printed."""
    done = subprocess.run(
        command, cwd=FOLDER, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def saw(output: str) -> Any:
    """Returns the JSON of the last line; a server may have printed lines of its own before."""
    return json.loads(output.strip().splitlines()[-1])
