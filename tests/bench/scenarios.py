"""The scenarios: what a workflow does, and how many workflows are measured.

A workflow is a script of outcomes it waits for (activity results, fired timers, signals). It issues
`width` commands whenever it has seen the outcome of every command so far, and completes when it has
seen `outcomes` of them. The worker of the load generator and the floor both follow this rule.
"""

import enum
from dataclasses import dataclass, replace


class Outcome(enum.StrEnum):
    """The kind of event a workflow of the scenario waits for."""

    NOTHING = "nothing"
    ACTIVITY = "activity"
    TIMER = "timer"
    SIGNAL = "signal"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of workflow, and the numbers of workflows to run.

    Attributes:
        name: Name on the command line and in JSON.
        title: Name in tables.
        outcome: What the workflow waits for.
        outcomes: How many outcomes it needs before it completes.
        width: Commands that it issues at once; 0 when the outcomes come from the client.
        alone: Workflows run one after the other, to measure latency without load.
        loaded: Workflows run with many in flight, to measure everything else.
    """

    name: str
    title: str
    outcome: Outcome
    outcomes: int
    width: int
    alone: int
    loaded: int

    @property
    def signals(self) -> int:
        """Signals that the client sends to each workflow."""
        return self.outcomes if self.outcome is Outcome.SIGNAL else 0

    @property
    def warm_up(self) -> int:
        """Workflows run before anything is measured."""
        return max(5, self.loaded // 10)

    def quick(self) -> "Scenario":
        """The same scenario with few workflows: it shows that all works, not how fast."""
        return replace(self, alone=max(5, self.alone // 10), loaded=max(25, self.loaded // 10))


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("empty", "empty", Outcome.NOTHING, 0, 0, alone=200, loaded=2000),
    Scenario("activity", "1 activity", Outcome.ACTIVITY, 1, 1, alone=100, loaded=1000),
    Scenario("in-turn", "10 activities in turn", Outcome.ACTIVITY, 10, 1, alone=20, loaded=250),
    Scenario("at-once", "100 activities at once", Outcome.ACTIVITY, 100, 100, alone=10, loaded=100),
    Scenario("timer", "1 timer (1 ms)", Outcome.TIMER, 1, 1, alone=20, loaded=750),
    Scenario("signals", "20 signals", Outcome.SIGNAL, 20, 0, alone=30, loaded=300),
)

BY_NAME: dict[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
