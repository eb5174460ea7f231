"""Samples of all rounds become one row for each scenario and target, and ratios between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.measurement import Measurement
from bench.stats import percentile, ratio, spread
from bench.targets import Target
from bench.usage import MIB

MAX_GENERATOR_SHARE = 0.8
"""Above this share of a core the load generator may be what limits the throughput."""

MAX_NOISE_CORES = 0.25
"""Above this the machine was busy with other work, and every number of the row is doubtful."""

MILLISECONDS = 1000.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement, and what it was of."""

    scenario: str
    target: Target
    round: int
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Row:
    """What all rounds say of one scenario on one target.

    Attributes:
        scenario: Name of the scenario.
        target: The server.
        workflows_per_s: Throughput with many in flight.
        is_void: The load generator was too busy for the throughput to be the server's.
        cpu_ms: Processor time of the server for each workflow.
        cpu_spread: How far the rounds lie apart in it, as a share of their mean.
        rpcs: RPCs for each workflow.
        sent_bytes: Request messages for each workflow.
        received_bytes: Response messages for each workflow.
        alone_p50_ms: Median latency of a workflow that is alone.
        alone_p99_ms: 99th percentile of it.
        loaded_p50_ms: Median latency with many in flight.
        loaded_p99_ms: 99th percentile of it.
        resident_mib: Resident memory of the server afterwards, the largest of the rounds.
        generator_share: Processor time of the load generator, as a share of one core.
        noise_cores: Processors that other programs kept busy meanwhile.
        database_cpu_ms: Processor time of the database for each workflow; None, as for the two
            that follow, when it is part of the server.
        alone_commits: Transactions of the database for each workflow that is alone.
        loaded_commits: The same with many in flight.
        alone_error: How far `alone_commits` may be off.
    """

    scenario: str
    target: Target
    workflows_per_s: float
    is_void: bool
    cpu_ms: float
    cpu_spread: float
    rpcs: float
    sent_bytes: float
    received_bytes: float
    alone_p50_ms: float
    alone_p99_ms: float
    loaded_p50_ms: float
    loaded_p99_ms: float
    resident_mib: float
    generator_share: float
    noise_cores: float
    database_cpu_ms: float | None = None
    alone_commits: float | None = None
    loaded_commits: float | None = None
    alone_error: float | None = None

    @property
    def is_noisy(self) -> bool:
        """Whether other programs disturbed the measurement."""
        return self.noise_cores > MAX_NOISE_CORES


@dataclass(frozen=True, slots=True)
class Ratios:
    """A row compared with the other targets of its scenario; None where there is no such row."""

    cpu_to_floor: float | None
    cpu_to_devserver: float | None
    alone_to_devserver: float | None
    throughput_to_devserver: float | None
    cpu_to_sqlite: float | None
    cpu_to_one_process: float | None
    cpu_to_unmetered: float | None


class Table:
    """All rows of a run."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Index the rows."""
        self.rows = tuple(rows)
        self._index = {(row.scenario, row.target): row for row in rows}

    def find(self, scenario: str, target: Target) -> Row | None:
        """The row of a scenario and target, if it was measured."""
        return self._index.get((scenario, target))

    def ratios(self, row: Row) -> Ratios:
        """Compare a row with the other servers of its scenario."""

        def to(target: Target, value: Callable[[Row], float]) -> float | None:
            base = self.find(row.scenario, target)
            return None if base is None else ratio(value(row), value(base))

        return Ratios(
            cpu_to_floor=to(Target.FLOOR, lambda each: each.cpu_ms),
            cpu_to_devserver=to(Target.DEVSERVER, lambda each: each.cpu_ms),
            alone_to_devserver=to(Target.DEVSERVER, lambda each: each.alone_p50_ms),
            throughput_to_devserver=to(Target.DEVSERVER, lambda each: each.workflows_per_s),
            cpu_to_sqlite=to(Target.PERDURE, lambda each: each.cpu_ms),
            cpu_to_one_process=to(Target.POSTGRES, lambda each: each.cpu_ms),
            cpu_to_unmetered=to(Target.UNMETERED, lambda each: each.cpu_ms),
        )


def tabulate(samples: Sequence[Sample]) -> Table:
    """Merge the rounds: sums of counts and times, percentiles of all latencies together."""
    groups: dict[tuple[str, Target], list[Measurement]] = {}
    for sample in samples:
        groups.setdefault((sample.scenario, sample.target), []).append(sample.measurement)
    return Table([_row(*key, measurements) for key, measurements in groups.items()])


def _row(scenario: str, target: Target, rounds: Sequence[Measurement]) -> Row:
    workflows = sum(each.workflows for each in rounds)
    wall_s = sum(each.wall_s for each in rounds)
    cpu_s = sum(each.server_cpu_s for each in rounds)
    generator_share = sum(each.generator_cpu_s for each in rounds) / wall_s
    alone_ms = [latency * MILLISECONDS for each in rounds for latency in each.alone_s]
    loaded_ms = [latency * MILLISECONDS for each in rounds for latency in each.loaded_s]
    return Row(
        scenario=scenario,
        target=target,
        workflows_per_s=workflows / wall_s,
        is_void=generator_share > MAX_GENERATOR_SHARE,
        cpu_ms=cpu_s * MILLISECONDS / workflows,
        cpu_spread=spread([each.server_cpu_s / each.workflows for each in rounds]),
        rpcs=sum(each.rpcs for each in rounds) / workflows,
        sent_bytes=sum(each.sent_bytes for each in rounds) / workflows,
        received_bytes=sum(each.received_bytes for each in rounds) / workflows,
        alone_p50_ms=percentile(alone_ms, 50),
        alone_p99_ms=percentile(alone_ms, 99),
        loaded_p50_ms=percentile(loaded_ms, 50),
        loaded_p99_ms=percentile(loaded_ms, 99),
        resident_mib=max(each.resident_bytes for each in rounds) / MIB,
        generator_share=generator_share,
        noise_cores=sum(each.other_cpu_s for each in rounds) / wall_s,
        **_database(rounds, workflows),
    )


def _database(rounds: Sequence[Measurement], workflows: int) -> dict[str, float]:
    uses = [each.database for each in rounds if each.database is not None]
    if not uses:
        return {}
    return {
        "database_cpu_ms": sum(use.cpu_s for use in uses) * MILLISECONDS / workflows,
        "alone_commits": sum(use.alone_commits for use in uses) / len(uses),
        "loaded_commits": sum(use.loaded_commits for use in uses) / len(uses),
        "alone_error": sum(use.alone_error for use in uses) / len(uses),
    }
