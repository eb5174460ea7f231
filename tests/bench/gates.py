"""The gates: ratios between the rows of one run, and counts, that Perdure must keep.

They are not times, so that they hold on any machine.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.results import Ratios, Row, Table
from bench.scenarios import SCENARIOS
from bench.targets import Target

ALL = tuple(scenario.name for scenario in SCENARIOS)
SHORT = ("empty", "activity", "timer")

Value = Callable[[Row, Ratios], float | None]


@dataclass(frozen=True, slots=True)
class Gate:
    """A limit on one value of a row.

    Attributes:
        name: What is limited.
        limit: The limit.
        scenarios: Where it holds. Elsewhere the value is shown beside the gate.
        value: Takes the value from the row and its ratios.
        target: Whose row it is.
        is_strict: Whether the limit itself is too much.
    """

    name: str
    limit: float
    scenarios: tuple[str, ...]
    value: Value
    target: Target = Target.PERDURE
    is_strict: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a gate in one scenario.

    Attributes:
        gate: Name of the gate.
        scenario: Name of the scenario.
        limit: The gate's limit.
        value: What was measured; None if a row for it is missing.
        is_strict: Whether the limit itself is too much.
        is_gated: Whether the gate holds in this scenario; else the value is only shown.
    """

    gate: str
    scenario: str
    limit: float
    value: float | None
    is_strict: bool = False
    is_gated: bool = True

    @property
    def passed(self) -> bool:
        """Whether the value was measured and keeps the limit, where the gate holds."""
        if not self.is_gated:
            return True
        if self.value is None:
            return False
        return self.value < self.limit or (self.value == self.limit and not self.is_strict)


def _surely(commits: float | None, error: float | None) -> float | None:
    """Returns how many commits it was at least."""
    return None if commits is None or error is None else commits - error


GATES: tuple[Gate, ...] = (
    Gate("CPU to the floor", 3.5, ALL, lambda _, ratios: ratios.cpu_to_floor),
    Gate("CPU to the dev server", 1 / 4, SHORT, lambda _, ratios: ratios.cpu_to_devserver),
    Gate(
        "latency alone to the dev server", 1 / 3, SHORT, lambda _, ratios: ratios.alone_to_devserver
    ),
)

STORE_GATES: tuple[Gate, ...] = (
    Gate(
        "commits of a workflow alone",
        4.0,
        ("activity",),
        lambda row, _: _surely(row.alone_commits, row.alone_error),
        Target.POSTGRES,
    ),
    Gate(
        "commits of a workflow under load",
        1.0,
        ("activity",),
        lambda row, _: row.loaded_commits,
        Target.POSTGRES,
        is_strict=True,
    ),
    Gate(
        "CPU on PostgreSQL to SQLite",
        1.3,
        ALL,
        lambda _, ratios: ratios.cpu_to_sqlite,
        Target.POSTGRES,
    ),
    Gate(
        "CPU of four processes to one",
        3.0,
        ALL,
        lambda _, ratios: ratios.cpu_to_one_process,
        Target.SPLIT,
    ),
)

METRICS_GATES: tuple[Gate, ...] = (
    Gate("CPU with metrics to without", 1.05, ALL, lambda _, ratios: ratios.cpu_to_unmetered),
)


def judge(table: Table, scenarios: Sequence[str], gates: Sequence[Gate] = GATES) -> list[Verdict]:
    """Hold every gate against the scenarios that were asked for."""
    return list(_verdicts(table, scenarios, gates))


def _verdicts(table: Table, scenarios: Sequence[str], gates: Sequence[Gate]) -> Iterator[Verdict]:
    for gate in gates:
        for scenario in scenarios:
            row = table.find(scenario, gate.target)
            yield Verdict(
                gate=gate.name,
                scenario=scenario,
                limit=gate.limit,
                value=None if row is None else gate.value(row, table.ratios(row)),
                is_strict=gate.is_strict,
                is_gated=scenario in gate.scenarios,
            )
