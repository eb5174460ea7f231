"""Queries that are made to cost much: refused in clear words, or taken, for a bounded work.

Work is counted in calls, of Python's functions and of C's, so that no machine is too slow for it.
"""

import sys
from types import FrameType
from typing import Any

import pytest

from bench.queries import HOSTILE, answer
from perdure.core.visibility.limits import QueryLimits

LIMITS = QueryLimits()
MOST_CALLS = 100 * LIMITS.max_tokens
"""What a query at the bounds may take: about seventy calls a token, and some more."""


def calls(query: str) -> int:
    """Returns how many calls it takes to answer a query."""
    count = 0

    def counted(_frame: FrameType, event: str, _what: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        answer(query)
    finally:
        sys.setprofile(before)
    return count


def refused(query: str) -> bool:
    return answer(query) != ""


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE)
def test_work_is_bounded(query: str) -> None:
    answer(query)
    assert calls(query) <= MOST_CALLS


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "(",
            "NOT ",
            "MyInt = 1 OR ",
            "x",
            "9",
            "'",
            '"',
            "`",
            "-",
            "/*",
            "--\n",
            "é",
            "\0",
            "\\",
        ),
        *("MyInt IN (1,", "f(", "a.", "1s", "\U0001f600", "'x' ", "BETWEEN "),
    ],
)
def test_a_longer_query_does_not_cost_more(unit: str) -> None:
    at_the_bound = unit * (LIMITS.max_bytes // len(unit.encode()))
    much_longer = unit * (4_000_000 // len(unit.encode()))
    answer(unit)
    assert calls(much_longer) <= max(20, calls(at_the_bound))
    assert "longer than 65536 bytes" in answer(much_longer)


def test_the_bound_of_words_is_that_of_work() -> None:
    fewer = calls(" OR ".join(["MyInt = 1"] * 200))
    most = calls(" OR ".join(["MyInt = 1"] * 500))
    beyond = [calls(" OR ".join(["MyInt = 1"] * count)) for count in (1_000, 4_000)]
    assert fewer < most <= 3 * fewer
    assert beyond[0] == beyond[1] <= most * 1.1


def test_a_refusal_says_what_is_too_much() -> None:
    assert answer(HOSTILE["1 MB of text"]) == "invalid query: longer than 65536 bytes"
    for name in ("5,000 ORs", "a list of 10,000", "names with dots"):
        assert answer(HOSTILE[name]) == (
            "invalid query: more than 2048 words, values and operators"
        )
    assert "max nesting level reached" in answer(HOSTILE["65 kB of parentheses"])
    assert "AND and OR alternate more than 16 times" in answer(HOSTILE["AND and OR in turn"])


@pytest.mark.parametrize("name", ["65 kB of digits", "65 kB of hexadecimal"])
def test_a_number_that_is_too_long_is_no_number(name: str) -> None:
    assert answer(HOSTILE[name]).startswith("invalid query: invalid expression: unable to parse")


@pytest.mark.parametrize("sign", ["", "-", "+"])
def test_zeros_before_a_number_do_not_count(sign: str) -> None:
    assert answer(f"MyInt = {sign}{'0' * 10_000}9223372036854775807") == ""
    assert refused(f"ExecutionStatus = {sign}{'0' * 10_000}92233720368547758070")
