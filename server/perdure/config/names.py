"""Suggestions for misspelt names."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that is most like `name`, whatever its case; None when none is."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean "x"?)`, or nothing when no known name is near."""
    match = nearest(name, known)
    return f' (did you mean "{match}"?)' if match else ""
