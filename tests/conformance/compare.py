"""Compares what two servers answered and shows where they differ, in a form that people read.

Differences are leaves: a path and the two values. Lists of history events are aligned by their
position, so that the first line of a report is where two histories part.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import unified_diff
from typing import Any as Json
from typing import NamedTuple

from conformance.deviations import Deviation
from conformance.recording import pretty

ABSENT = "<absent>"


class Difference(NamedTuple):
    """Where two recordings differ, and how."""

    path: str
    expected: Json
    actual: Json


class Verdict(NamedTuple):
    """The differences that no deviation explains, and the deviations that explained one."""

    unexplained: list[Difference]
    used: set[Deviation]


def differing(expected: Json, actual: Json, path: str = "") -> Iterator[Difference]:
    """Yields the leaves at which two JSON values differ."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in expected | actual:
            yield from differing(
                expected.get(key, ABSENT), actual.get(key, ABSENT), f"{path}/{key}".lstrip("/")
            )
    elif isinstance(expected, list) and isinstance(actual, list):
        for position in range(max(len(expected), len(actual))):
            yield from differing(
                expected[position] if position < len(expected) else ABSENT,
                actual[position] if position < len(actual) else ABSENT,
                f"{path}/{position}",
            )
    elif expected != actual:
        yield Difference(path, expected, actual)


def judge(scenario: str, expected: Json, actual: Json, deviations: Iterable[Deviation]) -> Verdict:
    """Splits the differences of a scenario's recordings by whether a deviation names them."""
    named = [d for d in deviations if d.scenario in ("*", scenario)]
    verdict = Verdict([], set())
    for difference in differing(expected, actual):
        match = next((d for d in named if matches(d.path, difference.path)), None)
        if match is None:
            verdict.unexplained.append(difference)
        else:
            verdict.used.add(match)
    return verdict


def matches(pattern: str, path: str) -> bool:
    """Tells whether a deviation's path covers a difference's path, or something above it."""
    translated = (
        re.escape(pattern).replace(r"\*\*", "\x00").replace(r"\*", "[^/]*").replace("\x00", ".*")
    )
    return re.fullmatch(f"{translated}(/.*)?", path) is not None


def report(verdict: Sequence[Difference], expected: Json, actual: Json) -> str:
    """Returns the unexplained differences and, for the steps concerned, a unified diff."""
    lines = [
        f"  {d.path}\n    real:    {d.expected}\n    perdure: {d.actual}" for d in verdict[:12]
    ]
    if len(verdict) > len(lines):
        lines.append(f"  … and {len(verdict) - len(lines)} more")
    steps = dict.fromkeys(d.path.split("/")[0] for d in verdict)
    for step in steps:
        lines.append(f"\nstep {step!r}:")
        lines.extend(_step_diff(expected.get(step, ABSENT), actual.get(step, ABSENT)))
    return "\n".join(lines)


def differences(expected: Json, actual: Json) -> str:
    """Returns a report of all differences, "" when there are none."""
    found = list(differing(expected, actual))
    return report(found, expected, actual) if found else ""


def _step_diff(expected: Json, actual: Json) -> Iterator[str]:
    old, new = pretty(expected).splitlines(), pretty(actual).splitlines()
    return unified_diff(old, new, "real", "perdure", lineterm="", n=2)
