"""Fixtures of the conformance tests: one Perdure for the session, one oracle where asked for.

Two environment variables change what scenarios run against: PERDURE_ADDRESS names a server that
runs already, and CONFORMANCE_LIVE_ORACLE=1 asks the real dev server now instead of reading what it
answered when the recordings were made.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conformance.recording import RecordedAnswers
from conformance.scenario import Scenario
from conformance.targets import dev_server, oracle_command, perdure_command, run_sync

Oracle = Callable[[Scenario], dict[str, Any]]


@pytest.fixture(scope="session")
def perdure_address() -> Iterator[str]:
    given = os.environ.get("PERDURE_ADDRESS")
    if given:
        yield given
        return
    with dev_server(perdure_command()) as server:
        yield server.address


@pytest.fixture(scope="session")
def oracle_address() -> Iterator[str]:
    with dev_server(oracle_command()) as server:
        yield server.address


@pytest.fixture(scope="session")
def oracle(request: pytest.FixtureRequest) -> Oracle:
    """What the real server answers in a scenario."""
    if not os.environ.get("CONFORMANCE_LIVE_ORACLE"):
        return lambda scenario: RecordedAnswers.load(scenario.name).steps
    address: str = request.getfixturevalue("oracle_address")
    return lambda scenario: run_sync(scenario, address).steps
