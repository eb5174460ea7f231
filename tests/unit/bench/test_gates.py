"""The gates: which ratios they hold, where, and what a missing row means."""

import pytest

from bench.gates import STORE_GATES, Verdict, judge
from bench.measurement import DatabaseUse
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


def test_long_scenarios_are_shown_beside_the_gates_to_the_dev_server() -> None:
    table = tabulate(run(scenario="at-once", perdure_cpu_s=0.34, perdure_alone_s=0.02))
    verdicts = judge(table, ["at-once"])
    assert [verdict.gate for verdict in verdicts if verdict.is_gated] == ["CPU to the floor"]
    beside = {each.gate: each.value for each in verdicts if not each.is_gated}
    assert beside == {
        "CPU to the dev server": pytest.approx(0.17),
        "latency alone to the dev server": pytest.approx(2 / 3),
    }
    assert broken(verdicts) == []


def test_only_the_scenarios_asked_for_are_judged() -> None:
    table = tabulate(run(scenario="empty", perdure_cpu_s=0.34, perdure_alone_s=0.009))
    assert {verdict.scenario for verdict in judge(table, ["empty"])} == {"empty"}


def test_what_was_not_measured_is_broken() -> None:
    verdicts = judge(tabulate([sample(Target.PERDURE)]), ["empty"])
    assert [verdict.value for verdict in verdicts] == [None, None, None]
    assert len(broken(verdicts)) == 3


def stores(
    *, alone_commits: float, loaded_commits: float, cpu_s: float, split_cpu_s: float
) -> list[Sample]:
    """A run of one activity in which Perdure takes 1 ms on SQLite."""
    use = DatabaseUse(0.2, alone_commits, loaded_commits, alone_error=0.05)
    return [
        sample(Target.PERDURE, scenario="activity", server_cpu_s=0.1),
        sample(Target.POSTGRES, scenario="activity", server_cpu_s=cpu_s, database=use),
        sample(Target.SPLIT, scenario="activity", server_cpu_s=split_cpu_s, database=use),
    ]


@pytest.mark.parametrize(
    ("commits", "cpu_s", "split_cpu_s", "expected"),
    [
        ((4.04, 0.99), 0.12, 0.35, []),
        ((4.06, 0.99), 0.12, 0.35, ["commits of a workflow alone"]),
        ((4.0, 1.0), 0.12, 0.35, ["commits of a workflow under load"]),
        ((4.0, 0.99), 0.14, 0.35, ["CPU on PostgreSQL to SQLite"]),
        ((4.0, 0.99), 0.12, 0.37, ["CPU of four processes to one"]),
    ],
)
def test_each_limit_of_the_stores_breaks_on_its_own(
    commits: tuple[float, float], cpu_s: float, split_cpu_s: float, expected: list[str]
) -> None:
    samples = stores(
        alone_commits=commits[0], loaded_commits=commits[1], cpu_s=cpu_s, split_cpu_s=split_cpu_s
    )
    assert broken(judge(tabulate(samples), ["activity"], STORE_GATES)) == expected


def test_a_database_that_was_not_counted_breaks_the_gates_of_commits() -> None:
    verdicts = judge(
        tabulate([sample(Target.POSTGRES, scenario="activity")]), ["activity"], STORE_GATES
    )
    assert len(broken(verdicts)) == 4
