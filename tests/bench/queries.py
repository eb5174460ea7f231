"""`bench --queries`: what it costs to parse queries that are made to cost much.

A query goes from its text to the typed filter, or to its refusal, in one thread; there is no RPC
and no store. `tests/unit/visibility/test_visibility_hostile.py` bounds the steps of the same ones.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.backlog import Check
from bench.tables import markdown_lines
from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility.parser import parse_query
from perdure.core.visibility.query import ValueType

ATTRIBUTES: Final = {
    "MyInt": ValueType.INT,
    "MyDouble": ValueType.DOUBLE,
    "MyKeyword": ValueType.KEYWORD,
    "MyText": ValueType.TEXT,
}
MEGABYTE: Final = 1_000_000
LONGEST: Final = 65_000
"""Bytes that are just allowed, with room for a name and an operator."""

REPEATS: Final = 20
MAX_MS: Final = 50.0
SHOWN: Final = 70

HOSTILE: Final[Mapping[str, str]] = {
    "1 MB of text": "x" * MEGABYTE,
    "1 MB in a string": f"MyKeyword = '{'x' * MEGABYTE}'",
    "1 MB of digits": f"MyInt = {'9' * MEGABYTE}",
    "65 kB in a string": f"MyKeyword = '{'x' * LONGEST}'",
    "65 kB of prefix": f"MyKeyword STARTS_WITH '{'é' * (LONGEST // 2)}'",
    "65 kB of words": f"MyText = '{'x ' * (LONGEST // 2)}'",
    "65 kB of digits": f"MyInt = {'9' * LONGEST}",
    "65 kB of zeros": f"MyInt = {'0' * LONGEST}1",
    "65 kB of decimals": f"MyDouble = 0.{'0' * LONGEST}1",
    "65 kB of hexadecimal": f"MyInt = 0x{'f' * LONGEST}",
    "an exponent of 65 kB": f"MyDouble = 1e{'9' * LONGEST}",
    "a time of 65 kB": f"StartTime > '2026-01-01T00:00:00.{'0' * LONGEST}Z'",
    "a duration of 65 kB": f"ExecutionDuration > '{'1s' * (LONGEST // 2)}'",
    "a name of 65 kB": f"{'x' * LONGEST} = 1",
    "a quoted name of 65 kB": f"`{'é' * (LONGEST // 2)}` = 1",
    "names with dots": f"{'a.' * (LONGEST // 2)}a = 1",
    "65 kB of parentheses": "(" * LONGEST,
    "65 kB of NOT": "NOT " * (LONGEST // 4),
    "65 kB of signs": f"MyInt = {'-' * LONGEST}1",
    "65 kB of quotes": f"MyKeyword = {chr(39) * LONGEST}{chr(39)}",
    "an open string": f"MyKeyword = '{'x' * LONGEST}",
    "an open string of backslashes": f"MyKeyword = '{chr(92) * (LONGEST - 1)}",
    "an open comment": f"MyInt = 1 /*{'*' * LONGEST}",
    "many open comments": f"MyInt = 1 {'/*' * (LONGEST // 2)}",
    "comments": f"MyInt = 1 {'/**/' * (LONGEST // 4)}",
    "lines of comment": f"MyInt = 1 {('--' + chr(10)) * (LONGEST // 3)}",
    "blanks": f"MyInt ={' ' * LONGEST}1",
    "letters of other alphabets": "Ж" * (LONGEST // 2),
    "emoji in a string": f"MyKeyword = '{chr(0x1F600) * (LONGEST // 4)}'",
    "NUL characters": f"MyKeyword = '{chr(0) * LONGEST}'",
    "5,000 ORs": " OR ".join(["MyInt = 1"] * 5_000),
    "500 ORs": " OR ".join(["MyInt = 1"] * 500),
    "500 ORs of NOT BETWEEN": " OR ".join(["NOT MyInt BETWEEN 1 AND 2"] * 250),
    "a list of 10,000": f"MyInt IN ({', '.join(map(str, range(10_000)))})",
    "a list of 1,000": f"MyInt IN ({', '.join(map(str, range(1_000)))})",
    "199 parentheses": "(" * 199 + "MyInt = 1" + ")" * 199,
    "199 NOTs": "NOT " * 199 + "MyInt = 1",
    "functions in functions": f"MyInt = {'f(' * 199}1{')' * 199}",
    "AND and OR in turn": "(MyInt = 1 AND (MyInt = 2 OR " * 90 + "MyInt = 3" + "))" * 90,
}
"""Queries by what is too much in them. Some are taken: they stay within every bound."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query came to.

    Attributes:
        name: What is too much in it.
        size: Its bytes.
        answer: Why it was refused; empty when it was taken.
        median_ms: Milliseconds of CPU that it took, in the middle of all times.
    """

    name: str
    size: int
    answer: str
    median_ms: float


@dataclass(frozen=True, slots=True)
class QueriesReport:
    """What all queries came to."""

    asked: Sequence[Asked]

    def checks(self) -> list[Check]:
        """The gate, on the slowest."""
        slowest = max(self.asked, key=lambda asked: asked.median_ms)
        return [Check(f"ms of CPU, slowest ({slowest.name})", slowest.median_ms, MAX_MS)]

    def to_json(self) -> dict[str, Any]:
        """The report as an object of plain values."""
        checks = [{**asdict(check), "passed": check.passed} for check in self.checks()]
        return {**asdict(self), "gates": checks}

    def to_markdown(self) -> str:
        """The report as text for a Markdown page."""
        rows = [("query", "bytes", "CPU ms", "answer"), ("---", "---:", "---:", "---")]
        for each in self.asked:
            answer = f"`{_short(each.answer)}`" if each.answer else "taken"
            rows.append((each.name, f"{each.size:,}", f"{each.median_ms:.2f}", answer))
        gates = "\n".join(f"- {check.line()}" for check in self.checks())
        return "\n\n".join(
            [f"Milliseconds of CPU, the median of {REPEATS} times.", markdown_lines(rows), gates]
        )


def run(say: Callable[[str], None]) -> QueriesReport:
    """Parses every query.

    Args:
        say: Told how far the run has come.
    """
    say(f"{len(HOSTILE)} queries, each {REPEATS} times")
    return QueriesReport([_ask(name, query) for name, query in HOSTILE.items()])


def answer(query: str) -> str:
    """Returns why a query is refused; empty when it is taken."""
    try:
        parse_query(query, ATTRIBUTES)
    except InvalidArgumentError as error:
        return error.message
    return ""


def _ask(name: str, query: str) -> Asked:
    taken_ms: list[float] = []
    said = ""
    for _ in range(REPEATS):
        began = time.thread_time()
        said = answer(query)
        taken_ms.append((time.thread_time() - began) * 1e3)
    return Asked(name, len(query.encode()), said, statistics.median(taken_ms))


def _short(text: str) -> str:
    line = text.translate({0: "\ufffd", 10: " ", ord("`"): "'", ord("|"): "/"})
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
