"""The command line: what it refuses before anything starts, and a whole quick run on the floor."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

TESTS = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TESTS), "COLUMNS": "200"}
BENCH = [sys.executable, "-m", "bench"]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BENCH, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--targets", "floor,mars"], "'mars' is not a valid Target"),
        (["--scenario", "nap"], "'nap' is not one of"),
        (["--gate", "--targets", "floor"], "--gate compares all servers of a run"),
        (["--gate", "--profile", "x"], "--gate and --profile exclude each other"),
    ],
)
def test_bad_options_are_refused(arguments: list[str], sentence: str) -> None:
    said = bench(*arguments)
    assert said.returncode == 2
    assert sentence in said.stderr


@pytest.mark.parametrize("target", ["floor", "unmetered"])
def test_a_quick_run_prints_json(target: str) -> None:
    said = bench("--quick", "--targets", target, "--scenario", "timer", "--output", "json")
    assert said.returncode == 0, said.stderr
    (row,) = json.loads(said.stdout)["rows"]
    assert row["target"] == target
    # The last RPC of one phase may be answered in the next.
    assert row["rpcs"] == pytest.approx(6.0, abs=0.1)


def test_an_interrupted_run_leaves_nothing_behind() -> None:
    with subprocess.Popen(
        [*BENCH, "--targets", "floor", "--scenario", "at-once"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as run:
        assert run.stderr is not None
        assert any(line.endswith(": alone\n") for line in run.stderr)
        children = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGINT)
        said = run.stderr.read()
    assert run.returncode == 130
    assert "nothing is left running" in said
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
