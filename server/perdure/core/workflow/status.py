"""A run's status as its transitions see it: open or closed."""

from enum import Enum, auto

from perdure.core.workflow.step import RunStep


class RunStatus(Enum):
    """Whether a run is open."""

    RUNNING = auto()
    CLOSED = auto()


def status_of(step: RunStep) -> RunStatus:
    """Returns whether a step's run is open."""
    return RunStatus.RUNNING if step.run.is_running else RunStatus.CLOSED
