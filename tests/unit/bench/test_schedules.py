"""The gates of idle schedules."""

from dataclasses import replace

import pytest

from bench.schedules import Idle, SchedulesReport

EMPTY = Idle(schedules=0, started_s=1.0, cpu_ms_per_s=3.0, resident_mib=100.0)
FULL = Idle(schedules=100_000, started_s=1.2, cpu_ms_per_s=3.5, resident_mib=105.0)


def report(delay_ms: float = 12.0, created_mib: float = 400.0, **changes: float) -> SchedulesReport:
    full = replace(FULL, **changes)  # type: ignore[arg-type]
    return SchedulesReport(EMPTY, full, created_s=200.0, created_mib=created_mib, delay_ms=delay_ms)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"cpu_ms_per_s": 5.1}, ["ms of CPU per s, idle schedules above none"]),
        ({"resident_mib": 120.1}, ["MiB, idle schedules above none"]),
        ({"created_mib": 501.0}, ["MiB once they are created, above none"]),
        ({"started_s": 2.1}, ["s until it serves, idle schedules above none"]),
        ({"delay_ms": 251.0}, ["ms late, the one that is due"]),
    ],
)
def test_each_limit_breaks_on_its_own(changes: dict[str, float], broken: list[str]) -> None:
    assert [check.name for check in report(**changes).checks() if not check.passed] == broken


def test_the_page_shows_both_servers_and_every_gate() -> None:
    text = report(delay_ms=300.0).to_markdown()
    assert "created in 200 s (500 per s)" in text
    assert "| 0 | 1.0 | 3.00 | 100 |" in text
    assert "| 100,000 | 1.2 | 3.50 | 105 |" in text
    assert "- kept: MiB, idle schedules above none: 5.00, limit 20.00" in text
    assert "- BROKEN: ms late, the one that is due: 300.00, limit 250.00" in text
