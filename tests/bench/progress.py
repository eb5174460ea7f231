"""How far a run has come: bars on a terminal, lines elsewhere, on standard error.

Bars are drawn twice a second, which costs the measured programs next to nothing.
"""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.runner import Step

REFRESHES_PER_SECOND = 2


def observing(console: Console, steps: int) -> "Bars | Lines":
    """Choose how to show a run of so many measurements."""
    return Bars(console, steps) if console.is_terminal else Lines(console, steps)


def title(step: Step) -> str:
    """Name a measurement."""
    return f"{step.scenario.title}, {step.target}, round {step.round}"


class Lines:
    """Prints a line for each phase of each measurement."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console = console
        self._steps = steps
        self._number = 0
        self._title = ""
        self._phase = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def begin(self, step: Step) -> None:
        """Name the measurement that begins."""
        self._number += 1
        self._title = title(step)
        self._phase = ""

    def advance(self, phase: str, done: int, total: int) -> None:
        """Print the phase if it is new."""
        if phase != self._phase:
            self._phase = phase
            self._console.print(f"{self._number}/{self._steps} {self._title}: {phase}")

    def end(self) -> None:
        """Nothing to say: the next measurement follows, or the report."""


class Bars:
    """Draws a bar for the run and one for the phase of the current measurement."""

    def __init__(self, console: Console, steps: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )
        self._run = self._progress.add_task("benchmark", total=steps)
        self._step = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, step: Step) -> None:
        """Name the measurement that begins."""
        self._progress.update(self._run, description=title(step))

    def advance(self, phase: str, done: int, total: int) -> None:
        """Show how far a phase has come."""
        self._progress.update(self._step, description=phase, completed=done, total=total or None)

    def end(self) -> None:
        """Count a measurement."""
        self._progress.advance(self._run)
