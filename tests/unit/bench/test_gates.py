"""The gates: which ratios they hold, where, and what a missing row means."""

import pytest

from bench.gates import Verdict, judge
from bench.results import Sample, tabulate
from bench.targets import Target
from unit.bench.samples import sample


def run(*, scenario: str, perdure_cpu_s: float, perdure_alone_s: float) -> list[Sample]:
    """A run in which the floor takes 1 ms, the dev server 20 ms and 30 ms alone."""
    return [
        sample(
            Target.PERDURE,
            scenario=scenario,
            server_cpu_s=perdure_cpu_s,
            alone_s=(perdure_alone_s,),
        ),
        sample(Target.FLOOR, scenario=scenario, server_cpu_s=0.1),
        sample(Target.DEVSERVER, scenario=scenario, server_cpu_s=2.0, alone_s=(0.03,)),
    ]


def broken(verdicts: list[Verdict]) -> list[str]:
    return [verdict.gate for verdict in verdicts if not verdict.passed]


def test_a_run_within_every_limit_passes() -> None:
    table = tabulate(run(scenario="empty", perdure_cpu_s=0.34, perdure_alone_s=0.009))
    verdicts = judge(table, ["empty"])
    assert len(verdicts) == 3
    assert broken(verdicts) == []


@pytest.mark.parametrize(
    ("cpu_s", "alone_s", "expected"),
    [
        (0.36, 0.009, ["CPU to the floor"]),
        (0.51, 0.009, ["CPU to the floor", "CPU to the dev server"]),
        (0.34, 0.011, ["latency alone to the dev server"]),
    ],
)
def test_each_limit_breaks_on_its_own(cpu_s: float, alone_s: float, expected: list[str]) -> None:
    table = tabulate(run(scenario="timer", perdure_cpu_s=cpu_s, perdure_alone_s=alone_s))
    assert broken(judge(table, ["timer"])) == expected


def test_long_scenarios_are_not_held_to_the_dev_servers_cpu() -> None:
    table = tabulate(run(scenario="at-once", perdure_cpu_s=0.34, perdure_alone_s=0.009))
    gates = [verdict.gate for verdict in judge(table, ["at-once"])]
    assert gates == ["CPU to the floor", "latency alone to the dev server"]


def test_only_the_scenarios_asked_for_are_judged() -> None:
    table = tabulate(run(scenario="empty", perdure_cpu_s=0.34, perdure_alone_s=0.009))
    assert {verdict.scenario for verdict in judge(table, ["empty"])} == {"empty"}


def test_what_was_not_measured_is_broken() -> None:
    verdicts = judge(tabulate([sample(Target.PERDURE)]), ["empty"])
    assert [verdict.value for verdict in verdicts] == [None, None, None]
    assert len(broken(verdicts)) == 3
