"""Rounds become rows, and rows are compared within their scenario."""

import json
from dataclasses import asdict, replace

import pytest

from bench.measurement import DatabaseUse, Measurement
from bench.results import tabulate
from bench.tables import SERVERS, STORES, markdown_table, remarks
from bench.targets import Target
from unit.bench.samples import PLAIN, sample


def test_rounds_are_added_and_latencies_pooled() -> None:
    table = tabulate(
        [
            sample(Target.PERDURE, number=1),
            sample(Target.PERDURE, number=2, wall_s=3.0, server_cpu_s=0.4, alone_s=(0.009,)),
        ]
    )
    (row,) = table.rows
    assert row.workflows_per_s == pytest.approx(200 / 5)
    assert row.cpu_ms == pytest.approx(3.0)
    assert row.cpu_spread == pytest.approx(2 / 3)
    assert row.rpcs == 4.0
    assert row.alone_p50_ms == pytest.approx(2.0)
    assert row.alone_p99_ms == pytest.approx(9.0)
    assert row.loaded_p99_ms == pytest.approx(20.0)
    assert row.resident_mib == 64.0
    assert row.generator_share == pytest.approx(0.4)


def test_ratios_stay_within_the_scenario() -> None:
    table = tabulate(
        [
            sample(Target.PERDURE, server_cpu_s=0.3),
            sample(Target.FLOOR, server_cpu_s=0.1),
            sample(Target.DEVSERVER, server_cpu_s=1.2, alone_s=(0.05,)),
            sample(Target.PERDURE, scenario="timer"),
        ]
    )
    ratios = table.ratios(table.rows[0])
    assert ratios.cpu_to_floor == pytest.approx(3.0)
    assert ratios.cpu_to_devserver == pytest.approx(0.25)
    assert ratios.alone_to_devserver == pytest.approx(0.04)
    assert ratios.throughput_to_devserver == pytest.approx(1.0)
    assert table.ratios(table.rows[3]).cpu_to_floor is None


def test_a_busy_generator_voids_the_throughput() -> None:
    table = tabulate([sample(Target.FLOOR, generator_cpu_s=1.7)])
    assert table.rows[0].is_void
    assert "void" in markdown_table(table, SERVERS)
    assert ["the load generator was the limit" in line for line in remarks(table)] == [True]


def test_noise_and_disagreeing_rounds_are_remarked_upon() -> None:
    table = tabulate(
        [
            sample(Target.PERDURE, number=1, other_cpu_s=1.0),
            sample(Target.PERDURE, number=2, other_cpu_s=1.0, server_cpu_s=0.3),
        ]
    )
    noise, disagreement = remarks(table)
    assert "0.50 cores" in noise
    assert "40% apart" in disagreement


def test_a_quiet_run_has_no_remarks() -> None:
    assert remarks(tabulate([sample(Target.PERDURE)])) == []


def test_what_a_database_took_stands_beside_the_server() -> None:
    first = DatabaseUse(cpu_s=0.2, alone_commits=4.0, loaded_commits=0.5, alone_error=0.1)
    second = DatabaseUse(cpu_s=0.4, alone_commits=5.0, loaded_commits=0.7, alone_error=0.1)
    table = tabulate(
        [
            sample(Target.PERDURE, server_cpu_s=0.1),
            sample(Target.POSTGRES, number=1, database=first),
            sample(Target.POSTGRES, number=2, database=second),
            sample(Target.SPLIT, server_cpu_s=0.5),
        ]
    )
    sqlite, postgres, split = table.rows
    assert sqlite.database_cpu_ms is None
    assert postgres.database_cpu_ms == pytest.approx(3.0)
    assert postgres.alone_commits == pytest.approx(4.5)
    assert postgres.loaded_commits == pytest.approx(0.6)
    assert table.ratios(postgres).cpu_to_sqlite == pytest.approx(2.0)
    assert table.ratios(split).cpu_to_one_process == pytest.approx(2.5)
    assert "| 2.00 | 2.00 | 1.00 | 3.00 | 4.50 | 0.10 | 0.60 |" in markdown_table(table, STORES)


def test_measurements_survive_json() -> None:
    use = DatabaseUse(cpu_s=0.2, alone_commits=4.0, loaded_commits=0.5, alone_error=0.1)
    for measurement in (PLAIN, replace(PLAIN, database=use)):
        assert Measurement.from_json(json.loads(json.dumps(asdict(measurement)))) == measurement
