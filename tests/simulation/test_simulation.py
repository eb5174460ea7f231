"""Whole runs: many seeds, the regression seeds, and that a seed reproduces its run."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from simulation.faults import FaultPlan
from simulation.harness import Report, simulate
from simulation.nemesis import TROUBLES
from simulation.run import main, read_seeds, run_seeds

QUICK_SEEDS = 300
FIRST_SLOW_SEED = QUICK_SEEDS
SLOW_SEEDS = 3_000

pytestmark = pytest.mark.alone


def _explain(reports: list[Report]) -> str:
    return "\n".join(f"seed {each.seed}: {each.violations[0]}" for each in reports)


def _failed(seeds: Sequence[int]) -> list[Report]:
    return [report for report in run_seeds(seeds, jobs=os.cpu_count() or 1) if report.violations]


@pytest.mark.parametrize(("seed", "is_cluster"), [(3, False), (1, True), (2, True), (4, True)])
def test_a_run_without_faults_keeps_every_promise(seed: int, is_cluster: bool) -> None:
    report = simulate(seed, faults=FaultPlan())
    assert report.violations == []
    assert report.statistics["clusters"] == is_cluster
    assert report.statistics["runs"] > 0
    assert report.statistics["activity_attempts"] > 0


def test_all_that_may_go_wrong_does() -> None:
    totals: Counter[str] = Counter()
    for seed in (1, 2, 4):
        plan = FaultPlan(
            crash_seconds=9.0,
            pause_seconds=9.0,
            cut_seconds=9.0,
            leave_seconds=9.0,
            outage_seconds=9.0,
        )
        report = simulate(seed, faults=plan)
        assert report.violations == []
        totals.update({name: round(number) for name, number in report.statistics.items()})
    for trouble in (*TROUBLES, "takeovers"):
        assert totals[trouble] > 0, trouble


def test_quick_seeds_keep_every_promise() -> None:
    failed = _failed(range(QUICK_SEEDS))
    assert not failed, _explain(failed)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_many_seeds_keep_every_promise() -> None:
    failed = _failed(range(FIRST_SLOW_SEED, FIRST_SLOW_SEED + SLOW_SEEDS))
    assert not failed, _explain(failed)


def test_regression_seeds_keep_every_promise() -> None:
    failed = [report for report in run_seeds(read_seeds(), jobs=1) if report.violations]
    assert not failed, _explain(failed)


@pytest.mark.parametrize("seed", [3, 4])
def test_a_seed_reproduces_its_run(seed: int) -> None:
    first, second = simulate(seed), simulate(seed)
    assert first.trace == second.trace
    assert first.trace_hash == second.trace_hash
    assert first.trace_hash != simulate(seed + 100).trace_hash


def test_a_seed_reproduces_its_run_whatever_strings_hash_to() -> None:
    program = "from simulation.harness import simulate; print(simulate(5).trace_hash)"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(hashes) == 1


def test_the_command_reports_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seeds", "2", "--jobs", "1", "--output", "json", "--traces", str(tmp_path)]
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["seeds"], summary["failed"]) == (2, [])
    assert summary["totals"]["rpcs"] > 0
