"""What differs from the real server on purpose: the one table, used by the tests and the docs.

A path names places in a recording: step names and field names joined by "/", list positions as
numbers; `*` stands for one part and `**` for any number of them. An entry that matches no
difference any more is stale and fails the tests.
"""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Deviation:
    """One named deviation; `scenario` may be "*" for all."""

    scenario: str
    path: str
    reason: str


DEVIATIONS: tuple[Deviation, ...] = ()
