"""What the load generator hands to the runner: phases, and one measurement as a JSON object."""

from dataclasses import dataclass
from typing import Any, Self

START = "start"
"""The phase that the generator reports while it waits for the server."""


@dataclass(frozen=True, slots=True)
class DatabaseUse:
    """What a server took of a database that is a server of its own.

    Attributes:
        cpu_s: Processor time of the database in the loaded phase.
        alone_commits: Transactions that the database committed for each workflow that ran alone.
        loaded_commits: The same with many in flight.
        alone_error: How far `alone_commits` may be off: see `bench.commits`.
    """

    cpu_s: float
    alone_commits: float
    loaded_commits: float
    alone_error: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One scenario on one server, measured once.

    Attributes:
        workflows: Workflows run with many in flight; the other numbers but `alone_s` are of these.
        wall_s: From the first start to the last completion.
        server_cpu_s: Processor time of the server, with a moment after the end to finish its work.
        generator_cpu_s: Processor time of the load generator.
        other_cpu_s: Processor time of everything else on the machine.
        rpcs: RPCs answered.
        sent_bytes: Request messages sent.
        received_bytes: Response messages received.
        resident_bytes: Resident memory of the server at the end.
        alone_s: Latency of each workflow that ran alone.
        loaded_s: Latency of each workflow that ran with many in flight.
        database: What was used of the server's database; None when it is part of the server.
    """

    workflows: int
    wall_s: float
    server_cpu_s: float
    generator_cpu_s: float
    other_cpu_s: float
    rpcs: int
    sent_bytes: int
    received_bytes: int
    resident_bytes: int
    alone_s: tuple[float, ...]
    loaded_s: tuple[float, ...]
    database: DatabaseUse | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Read what `dataclasses.asdict` and JSON made of a measurement."""
        latencies = {name: tuple(value[name]) for name in ("alone_s", "loaded_s")}
        used = value["database"]
        database = None if used is None else DatabaseUse(**used)
        return cls(**{**value, **latencies, "database": database})
