"""Made-up samples for the tests of what is done with samples."""

from dataclasses import replace

from bench.measurement import Measurement
from bench.results import Sample
from bench.targets import Target

PLAIN = Measurement(
    workflows=100,
    wall_s=2.0,
    server_cpu_s=0.2,
    generator_cpu_s=1.0,
    other_cpu_s=0.1,
    rpcs=400,
    sent_bytes=1000,
    received_bytes=2000,
    resident_bytes=64 << 20,
    alone_s=(0.001, 0.002, 0.003),
    loaded_s=(0.010, 0.020),
)


def sample(
    target: Target, *, scenario: str = "empty", number: int = 1, **changes: object
) -> Sample:
    """A sample of 100 workflows in 2 s with 2 ms of CPU each, but for some fields."""
    return Sample(scenario, target, number, replace(PLAIN, **changes))  # type: ignore[arg-type]
