"""The short form of `./dev chaos`: the scenarios that have been seen to hold.

Not among them yet, and to be run by hand: the others, and `rolling-restart`, in which a call that
is under way when a frontend closes its port may end as CANCELLED, which SDKs do not retry.
"""

import json
import os
import subprocess
import sys

import pytest

from chaos.scenarios import SCENARIOS
from contract.cluster import MissingPostgres, find_binaries
from workbench.paths import ROOT, TESTS

SECONDS = 300
"""Generous: a scenario takes half a minute on an idle machine."""


KNOWN_TO_FAIL = ("rolling-restart",)


def chosen() -> list[str]:
    names = [scenario.name for scenario in SCENARIOS if scenario.quick]
    return [name for name in names if name not in KNOWN_TO_FAIL]


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
