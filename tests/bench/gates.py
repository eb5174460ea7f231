"""The gates: ratios between the rows of one run that Perdure must keep.

They are ratios and not times, so that they hold on any machine.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.results import Ratios, Table
from bench.scenarios import SCENARIOS
from bench.targets import Target

ALL = tuple(scenario.name for scenario in SCENARIOS)
SHORT = ("empty", "activity", "timer")


@dataclass(frozen=True, slots=True)
class Gate:
    """A limit on one ratio of Perdure's row, in some scenarios."""

    name: str
    limit: float
    scenarios: tuple[str, ...]
    ratio: Callable[[Ratios], float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a gate in one scenario; `value` is None if a row for it is missing."""

    gate: str
    scenario: str
    limit: float
    value: float | None

    @property
    def passed(self) -> bool:
        """Whether the value was measured and keeps the limit."""
        return self.value is not None and self.value <= self.limit


GATES: tuple[Gate, ...] = (
    Gate("CPU to the floor", 3.5, ALL, lambda ratios: ratios.cpu_to_floor),
    Gate("CPU to the dev server", 1 / 4, SHORT, lambda ratios: ratios.cpu_to_devserver),
    Gate("latency alone to the dev server", 1 / 3, ALL, lambda ratios: ratios.alone_to_devserver),
)


def judge(table: Table, scenarios: Sequence[str]) -> list[Verdict]:
    """Hold every gate against the scenarios that were asked for."""
    return list(_verdicts(table, scenarios))


def _verdicts(table: Table, scenarios: Sequence[str]) -> Iterator[Verdict]:
    for gate in GATES:
        for scenario in scenarios:
            if scenario in gate.scenarios:
                row = table.find(scenario, Target.PERDURE)
                value = gate.ratio(table.ratios(row)) if row is not None else None
                yield Verdict(gate.name, scenario, gate.limit, value)
