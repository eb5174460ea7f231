"""The garbage collector of a server that keeps millions of objects alive.

A full collection visits every tracked object, and stops the loop while it does. So what exists
after start is frozen (never visited again), and the oldest generation is collected rarely. Python
itself waits with a full collection until a quarter more objects await it than survived the last
one, which bounds its cost; the thresholds here bound how often that is looked at.
"""

import gc
import time
from collections.abc import Callable
from typing import Any, Literal

PauseCallback = Callable[[int, float], None]
"""Gets the generation that was collected (0 to 2) and the seconds that the collection took."""

DEFAULT_THRESHOLDS = (10_000, 20, 100)
"""Allocations per young collection, young per middle, middle per full collection."""


class GcTuning:
    """A tuned collector, until `undo`."""

    __slots__ = ("_on_pause", "_previous_thresholds", "_started")

    def __init__(self, *, on_pause: PauseCallback, thresholds: tuple[int, int, int]) -> None:
        self._on_pause = on_pause
        self._started = 0.0
        self._previous_thresholds = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*thresholds)
        gc.callbacks.append(self._collection)

    def undo(self) -> None:
        """Puts everything back as it was found."""
        gc.callbacks.remove(self._collection)
        gc.set_threshold(*self._previous_thresholds)
        gc.unfreeze()

    def _collection(self, phase: Literal["start", "stop"], info: dict[str, Any]) -> None:
        if phase == "start":
            self._started = time.perf_counter()
        else:
            self._on_pause(info["generation"], time.perf_counter() - self._started)


def tune_gc(
    *, on_pause: PauseCallback, thresholds: tuple[int, int, int] = DEFAULT_THRESHOLDS
) -> GcTuning:
    """Freezes what is alive, sets the thresholds, and reports every pause from now on.

    Call it once, when the server has started.

    Args:
        on_pause: Called within each collection, so it must be quick and make few objects.
        thresholds: As `gc.set_threshold` takes them.

    Returns:
        The handle that undoes it.
    """
    return GcTuning(on_pause=on_pause, thresholds=thresholds)
