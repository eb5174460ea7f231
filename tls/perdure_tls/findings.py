"""What a check found: passed or failed, of what, in a sentence."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check of one subject (a certificate's name, a file, a peer)."""

    check: str
    subject: str
    passed: bool
    said: str


def problems(findings: Iterable[Finding]) -> list[str]:
    """Returns the sentences of what failed."""
    return [f"{entry.subject}: {entry.said}" for entry in findings if not entry.passed]
