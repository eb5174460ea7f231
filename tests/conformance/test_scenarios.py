"""Every scenario gives the same on Perdure as on the real server, but for named deviations."""

from collections.abc import Callable
from typing import Any

import pytest

from conformance.compare import judge, report
from conformance.deviations import DEVIATIONS
from conformance.scenario import Scenario
from conformance.scenarios import load
from conformance.targets import Servers, run_sync

SCENARIOS = load()


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_as_the_real_server(
    name: str, perdure_servers: Servers, oracle: Callable[[Scenario], dict[str, Any]]
) -> None:
    chosen = SCENARIOS[name]
    expected = oracle(chosen)
    actual = run_sync(chosen, perdure_servers.address(chosen)).steps
    verdict = judge(name, expected, actual, DEVIATIONS)
    if verdict.unexplained:
        pytest.fail(report(verdict.unexplained, expected, actual), pytrace=False)
    stale = [d.path for d in DEVIATIONS if d.scenario == name and d not in verdict.used]
    if stale:
        pytest.fail(f"deviations that do not occur any more: {', '.join(stale)}", pytrace=False)
