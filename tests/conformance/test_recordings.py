"""The recordings are complete, of the installed oracle, and still what it answers."""

import datetime as dt
from importlib.metadata import version

import pytest

from conformance import report
from conformance.compare import differences
from conformance.deviations import DEVIATIONS
from conformance.recording import RECORDED, RecordedAnswers
from conformance.scenarios import load
from conformance.targets import Servers, oracle_version, run_sync

SCENARIOS = load()
TENTH = 10
ATTEMPTS = 2
"""A busy machine may disturb a scenario of the oracle once."""


def test_one_recording_for_each_scenario() -> None:
    recorded = {path.stem for path in RECORDED.glob("*.json")}
    assert recorded == set(SCENARIOS), "run `python -m conformance.record`"


def test_recorded_with_the_installed_versions() -> None:
    installed = (oracle_version(), version("temporalio"))
    for name in SCENARIOS:
        answers = RecordedAnswers.load(name)
        assert (answers.server, answers.sdk) == installed, f"record {name} again"


def test_deviations_name_scenarios_and_reasons() -> None:
    for deviation in DEVIATIONS:
        assert deviation.scenario in {"*", *SCENARIOS}
        assert len(deviation.reason.split()) > 2


def todays_tenth() -> list[str]:
    """Returns a tenth of the scenarios, another one each day."""
    day = dt.datetime.now(dt.UTC).toordinal()
    return [name for number, name in enumerate(SCENARIOS) if number % TENTH == day % TENTH]


@pytest.mark.slow
@pytest.mark.parametrize("name", todays_tenth())
def test_recording_is_fresh(name: str, oracle_servers: Servers) -> None:
    expected = RecordedAnswers.load(name).steps
    address = oracle_servers.address(SCENARIOS[name])
    found = ""
    for _ in range(ATTEMPTS):
        found = differences(expected, run_sync(SCENARIOS[name], address).steps)
        if not found:
            return
    pytest.fail(f"the recording of {name} is stale:\n{found}", pytrace=False)


def test_the_compatibility_page_is_up_to_date() -> None:
    assert report.PAGE.read_text() == report.page(), "run `python -m conformance.report`"
