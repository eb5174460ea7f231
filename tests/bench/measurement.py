"""What the load generator hands to the runner: phases, and one measurement as a JSON object."""

from dataclasses import dataclass
from typing import Any, Self

START = "start"
"""The phase that the generator reports while it waits for the server."""


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

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Read what `dataclasses.asdict` and JSON made of a measurement."""
        return cls(
            **{**value, "alone_s": tuple(value["alone_s"]), "loaded_s": tuple(value["loaded_s"])}
        )
