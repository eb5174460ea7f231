"""What an alert is, and how one of two severities is made."""

from collections.abc import Sequence
from dataclasses import dataclass

from perdure_alerts.thresholds import Threshold


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule.

    Attributes:
        name: Also its runbook's.
        expression: Has a sample for whatever is wrong.
        hold: For how long that must be so.
        severity: `critical`: act now, somebody notices; `warning`: act today.
        summary: What is wrong, in a sentence; may have the sample's labels.
        board: Uid of the dashboard that shows it.
    """

    name: str
    expression: str
    hold: str
    severity: str
    summary: str
    board: str


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together."""

    name: str
    alerts: Sequence[Alert]


def both(
    name: str, expression: str, threshold: Threshold, *, hold: str, summary: str, board: str
) -> list[Alert]:
    """Returns the two rules of an alert that has two thresholds."""
    return [
        Alert(name, f"{expression} > {limit:g}", hold, severity, summary, board)
        for severity, limit in threshold._asdict().items()
    ]
