"""What is compared with what: the servers of a run, their gates, and what is asked by default."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.gates import ALL, GATES, METRICS_GATES, SHORT, STORE_GATES, Gate
from bench.tables import METRICS as METRICS_COLUMNS
from bench.tables import SERVERS as SERVER_COLUMNS
from bench.tables import STORES as STORE_COLUMNS
from bench.tables import Layout
from bench.targets import Target


@dataclass(frozen=True, slots=True)
class Comparison:
    """One kind of run.

    Attributes:
        targets: The servers, in the order of each round.
        gates: What they are held to.
        scenarios: Names of the scenarios that are run when none is named.
        in_flight: Workflows in flight when loaded, when nothing else is said.
        rounds: Rounds of every scenario, when nothing else is said.
        layout: The columns of its table.
        section: Names its section of a Markdown page.
    """

    targets: tuple[Target, ...]
    gates: Sequence[Gate]
    scenarios: tuple[str, ...]
    in_flight: int
    layout: Layout
    section: str
    rounds: int = 2


SERVERS = Comparison(
    targets=(Target.PERDURE, Target.DEVSERVER, Target.FLOOR),
    gates=GATES,
    scenarios=ALL,
    in_flight=50,
    layout=SERVER_COLUMNS,
    section="bench",
)
STORES = Comparison(
    targets=(Target.PERDURE, Target.POSTGRES, Target.SPLIT),
    gates=STORE_GATES,
    scenarios=(*SHORT, "in-turn"),
    in_flight=100,
    layout=STORE_COLUMNS,
    section="bench stores",
)
METRICS = Comparison(
    targets=(Target.PERDURE, Target.UNMETERED),
    gates=METRICS_GATES,
    scenarios=("activity",),
    in_flight=50,
    layout=METRICS_COLUMNS,
    section="bench metrics",
    # What is looked for is smaller than what one round is off.
    rounds=8,
)
