"""What a scenario found, and the numbers beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from chaos.ledger import Call, Ledger


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one scenario.

    Attributes:
        orders: Workflows whose start was acknowledged or found to have taken effect.
        signals: Acknowledged signals.
        attempts: Attempts of activities that ran.
        failed_calls: Calls that raised in user code after the SDK's retries, by kind and error.
        raw_statuses: Failures of single calls before those retries, by operation and status.
        fault_seconds: From the injection until the fault had ended.
        recovery_seconds: From then, or from the injection, to the end of the last disturbed call.
        start_p99_ms: Of all starts, from beginning to end of the load.
        longest_order_seconds: From start to result.
        wrong: Everything that must not be, as sentences.
        skipped: Why it was not run; empty when it was.
        folder: Where its logs and ledger are kept; empty when they are not.
    """

    name: str
    title: str
    orders: int = 0
    signals: int = 0
    attempts: int = 0
    failed_calls: Mapping[str, int] = field(default_factory=dict)
    raw_statuses: Mapping[str, int] = field(default_factory=dict)
    fault_seconds: float = 0.0
    recovery_seconds: float = 0.0
    start_p99_ms: float = 0.0
    longest_order_seconds: float = 0.0
    wrong: Sequence[str] = ()
    skipped: str = ""
    folder: str = ""

    @property
    def passed(self) -> bool:
        return not self.wrong

    @property
    def failed(self) -> int:
        """Calls that failed."""
        return sum(self.failed_calls.values())

    def to_json(self) -> dict[str, Any]:
        """Returns it for machines."""
        return {**asdict(self), "passed": self.passed, "failed": self.failed}


def recovery_seconds(calls: Sequence[Call], *, since: float) -> float:
    """Returns how long after a moment the last disturbed call ended; below 0 for none since."""
    return max((call.ended - since for call in calls if call.disturbed), default=0.0)


def start_p99_ms(calls: Sequence[Call]) -> float:
    """Returns the time that one start in a hundred exceeds."""
    taken = sorted(call.ended - call.began for call in calls if call.kind == "start")
    return taken[min(len(taken) - 1, len(taken) * 99 // 100)] * 1000 if taken else 0.0


def longest_order_seconds(ledger: Ledger) -> float:
    """Returns the time from start to result of the slowest order."""
    done = [entry for entry in ledger.orders.values() if entry.result is not None]
    return max((entry.ended - entry.began for entry in done), default=0.0)
