"""Every scenario of `./dev chaos`; the short form is what is not slow."""

import json
import os
import subprocess
import sys

import pytest

from chaos.scenarios import SCENARIOS
from contract.cluster import MissingPostgres, find_binaries
from workbench.paths import ROOT, TESTS

pytestmark = pytest.mark.alone

SECONDS = 300
"""Generous: a scenario takes half a minute on an idle machine."""


def chosen() -> list[object]:
    return [
        pytest.param(scenario.name, marks=[] if scenario.quick else [pytest.mark.slow])
        for scenario in SCENARIOS
    ]


@pytest.fixture(scope="module")
def _postgres() -> None:
    try:
        find_binaries()
    except MissingPostgres as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.mark.postgres
@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.usefixtures("_postgres")
@pytest.mark.parametrize("name", chosen())
def test_nothing_is_lost(name: str) -> None:
    # As a process of its own, which may have namespaces of its own.
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--scenario", name, "--output", "json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stdout, done.stderr
    (result,) = json.loads(done.stdout)
    if result["skipped"]:
        pytest.skip(result["skipped"])
    assert result["wrong"] == [], f"{json.dumps(result, indent=1)}\n{done.stderr}"
    assert result["orders"] > 0
    assert done.returncode == 0
