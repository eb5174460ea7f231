"""What happened in a run, in order: its hash proves that a seed reproduces it."""

from collections.abc import Callable
from hashlib import blake2b

from perdure.runtime.ports import Clock

MOST_VIOLATIONS = 20


class Trace:
    """A journal of a run.

    Attributes:
        lines: What happened, each with its virtual time in seconds.
        violations: The invariants that were found broken, in the order they were found in.
        on_too_many: Called when there are so many violations that more would tell nothing.
    """

    def __init__(self, *, clock: Clock) -> None:
        self.lines: list[str] = []
        self.violations: list[str] = []
        self.on_too_many: Callable[[], None] = lambda: None
        self._clock = clock
        self._digest = blake2b(digest_size=16)

    def note(self, actor: str, text: str) -> None:
        """Writes down what an actor did or saw."""
        line = f"{self._clock.monotonic():12.6f}  {actor:<12} {text}"
        self.lines.append(line)
        self._digest.update(line.encode())

    def violation(self, text: str) -> None:
        """Writes down that an invariant does not hold."""
        self.violations.append(text)
        self.note("VIOLATION", text)
        if len(self.violations) == MOST_VIOLATIONS:
            self.on_too_many()

    def hash(self) -> str:
        """Returns a digest of every line so far."""
        return self._digest.hexdigest()
