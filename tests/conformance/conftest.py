"""Fixtures of the conformance tests: one Perdure for the session, one oracle where asked for.

Two environment variables change what scenarios run against: PERDURE_ADDRESS names a server that
runs already, and CONFORMANCE_LIVE_ORACLE=1 asks the real dev server now instead of reading what it
answered when the recordings were made.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from conformance.recording import RecordedAnswers
from conformance.scenario import Scenario
from conformance.targets import Servers, oracle_command, perdure_command, run_sync

Oracle = Callable[[Scenario], dict[str, Any]]


@pytest.fixture(scope="session")
def perdure_servers() -> Iterator[Servers]:
    with ExitStack() as parts:
        yield Servers(perdure_command(), os.environ.get("PERDURE_ADDRESS"), parts)


@pytest.fixture(scope="session")
def oracle_servers() -> Iterator[Servers]:
    with ExitStack() as parts:
        yield Servers(oracle_command(), None, parts)


@pytest.fixture(scope="session")
def oracle(request: pytest.FixtureRequest) -> Oracle:
    """What the real server answers in a scenario."""
    if not os.environ.get("CONFORMANCE_LIVE_ORACLE"):
        return lambda scenario: RecordedAnswers.load(scenario.name).steps
    servers: Servers = request.getfixturevalue("oracle_servers")
    return lambda scenario: run_sync(scenario, servers.address(scenario)).steps
