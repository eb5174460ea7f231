"""The gates of a backlog, and the rates of a drain."""

from dataclasses import replace

import pytest

from bench.backlog import BacklogReport, Found, Phase
from bench.drain import Drained, Taken

DRAINED = Drained(tasks=3000, per_s=400.0, server_cpu_ms=2.0, database_cpu_ms=1.0, last_number=3009)
EMPTY = Found(Phase.EMPTY, tasks=0, settled_s=1.0, settled_mib=180.0, peak_mib=190.0, drained=None)
SMALL = Found(
    Phase.SMALL, tasks=4000, settled_s=1.0, settled_mib=182.0, peak_mib=200.0, drained=DRAINED
)


def report(
    *,
    settled_mib: float = 200.0,
    peak_mib: float = 220.0,
    left_mib: float = 190.0,
    left_peak_mib: float = 200.0,
    full: float = 380.0,
    rest: float = 390.0,
) -> BacklogReport:
    """A run on an empty queue of 180 MiB, 200 MiB and 400 tasks/s at most on a small one."""
    phases = [
        EMPTY,
        SMALL,
        Found(
            phase=Phase.FULL,
            tasks=1_000_000,
            settled_s=9.0,
            settled_mib=settled_mib,
            peak_mib=peak_mib,
            drained=replace(DRAINED, per_s=full),
        ),
        Found(
            phase=Phase.DELETED,
            tasks=100_000,
            settled_s=2.0,
            settled_mib=left_mib,
            peak_mib=left_peak_mib,
            drained=replace(DRAINED, per_s=rest),
        ),
    ]
    return BacklogReport(rows=1_000_000, phases=phases, loaded_s=60.0, deleted_s=40.0)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"settled_mib": 231.0}, ["MiB of a full queue above an empty one"]),
        ({"peak_mib": 251.0}, ["MiB at most, a full queue above a small one"]),
        ({"left_mib": 231.0}, ["MiB of what deletions leave above an empty one"]),
        ({"left_peak_mib": 251.0}, ["MiB at most, what deletions leave above a small one"]),
        ({"full": 359.0}, ["dispatch, full to small"]),
        ({"rest": 359.0}, ["dispatch, deleted to small"]),
    ],
)
def test_each_limit_breaks_on_its_own(changes: dict[str, float], broken: list[str]) -> None:
    assert [check.name for check in report(**changes).checks() if not check.passed] == broken


def test_the_page_shows_every_phase_and_every_gate() -> None:
    text = report(full=300.0).to_markdown()
    assert "| empty | 0 | – | – | – | 180 | 190 | 1.0 |" in text
    assert "| full | 1,000,000 | 300 | 2.00 | 1.00 | 200 | 220 | 9.0 |" in text
    assert "- BROKEN: dispatch, full to small: 0.75, at least 0.90" in text
    assert "- kept: MiB of a full queue above an empty one: 20.00, limit 50.00" in text


def test_rates_leave_out_the_first_stretch() -> None:
    times = [*(10.0 * number for number in range(10)), *(100.0 + number for number in range(90))]
    taken = Taken(wanted=100, tokens=[b"t"] * 100, numbers=[0] * 100, at_s=times)
    rates = list(taken.rates())
    assert len(rates) == 9
    assert rates[1:] == [pytest.approx(1.0)] * 8
