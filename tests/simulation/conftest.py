"""What the tests of the simulation share."""

import random
from collections.abc import Iterator

import pytest

from simulation.loop import SimulatedLoop


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    """Returns a loop on a virtual clock."""
    loop = SimulatedLoop(generator=random.Random(1))
    yield loop
    loop.close()
