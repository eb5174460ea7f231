"""Random runs and queries, and a slow listing of them in plain Python that shares nothing with
Perdure's own evaluation: what a page must be, whatever way a store takes to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from contract.rows import NAMESPACE
from perdure.core.commit import SearchValue, VisibilityRow
from perdure.core.visibility.query import ValueType

TYPES: Final = {
    "Kw": ValueType.KEYWORD,
    "Num": ValueType.INT,
    "Do": ValueType.DOUBLE,
    "Bo": ValueType.BOOL,
    "Da": ValueType.DATETIME,
    "Li": ValueType.KEYWORD_LIST,
    "Tx": ValueType.TEXT,
}
STATUSES: Final = {1: "Running", 2: "Completed", 3: "Failed", 5: "Terminated"}
WORDS: Final = ("", "a", "ab", "abc", "b", "it's", "é", "\U0001f600", "x" * 310)
NUMBERS: Final = (-(1 << 63), -2, -1, 0, 1, 2, 3, (1 << 63) - 1)
PRICES: Final = (-1.5, 0.0, 0.1, 2.0, 1e300)
DAYS: Final = tuple(datetime(2026, 1, day, 12, 30, 15, 250_000, tzinfo=UTC) for day in (1, 2, 3))
ELEMENTS: Final = ("x", "y", "z", "X", "it's")
TOKENS: Final = ("alpha", "beta", "gamma")
FIRST: Final = 1_000
"""The earliest time that anything happens, in nanoseconds."""

LAST: Final = 1_040
STILL_OPEN: Final = 1 << 63
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS: Final = {
    "Kw": WORDS,
    "WorkflowId": tuple(f"wf-{number}" for number in range(7)),
    "WorkflowType": ("A", "B", "C", ""),
}
"""Operands of texts; some are those of no run."""


@dataclass
class Run:
    """A run as this module knows it: times are nanoseconds, 0 for a close that is to come."""

    run_id: str
    workflow_id: str
    workflow_type: str
    status: int
    start: int
    close: int
    values: dict[str, Any] = field(default_factory=dict)

    def row(self) -> VisibilityRow:
        """The row that a store is given."""
        values: dict[str, SearchValue] = {
            name: frozenset(value) if name == "Tx" else value for name, value in self.values.items()
        }
        return VisibilityRow(
            namespace_id=NAMESPACE,
            run_id=self.run_id,
            workflow_id=self.workflow_id,
            workflow_type=self.workflow_type,
            task_queue="queue",
            status=self.status,
            start_time=self.start,
            execution_time=self.start,
            close_time=self.close,
            root_workflow_id=self.workflow_id,
            root_run_id=self.run_id,
            search_values=values,
        )

    def key(self) -> tuple[int, int, str]:
        """Where it stands in a listing; the greatest is listed first."""
        return (self.close or STILL_OPEN, self.start, self.run_id)

    def value(self, name: str) -> Any:
        """What a query compares; None when the run has none."""
        match name:
            case "WorkflowId":
                return self.workflow_id
            case "WorkflowType":
                return self.workflow_type
            case "ExecutionStatus":
                return self.status
            case "StartTime":
                return self.start
            case "CloseTime":
                return self.close or None
            case "Da":
                return _nanoseconds(self.values[name]) if name in self.values else None
            case _:
                return self.values.get(name)


Truth = bool | None
Condition = Callable[[Run], Truth]


@dataclass(frozen=True)
class Query:
    """A query's text, and what it means."""

    text: str
    holds: Condition

    def listed(self, runs: list[Run]) -> list[Run]:
        """All that it finds, in order."""
        return sorted((run for run in runs if self.holds(run) is True), key=Run.key, reverse=True)


class Maker:
    """Makes runs, changes and queries; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._number = 0

    def run(self) -> Run:
        """A run that is open or closed, and began at any time."""
        self._number += 1
        start = self.random.randint(FIRST, LAST)
        run = Run(
            run_id=f"run-{self.random.randrange(1_000):03d}-{self._number}",
            workflow_id=f"wf-{self.random.randrange(6)}",
            workflow_type=self.random.choice(("A", "B", "C")),
            status=1,
            start=start,
            close=0,
            values=self._values(),
        )
        if self.random.random() < 0.7:
            self.close(run)
        return run

    def close(self, run: Run) -> None:
        """Closes a run, at any time after its start."""
        run.status = self.random.choice((2, 3, 5))
        run.close = run.start + self.random.randint(1, 25)

    def change(self, run: Run) -> None:
        """Closes an open run, or gives a closed one other attributes."""
        if run.close:
            run.values = self._values()
        else:
            self.close(run)

    def query(self, depth: int = 2) -> Query:
        """A query, of one condition or of many."""
        kind = self.random.random()
        if depth == 0 or kind < 0.3:
            return self._predicate()
        if kind < 0.4:
            return _negated(self.query(depth - 1))
        operands = [self.query(depth - 1) for _ in range(self.random.randint(2, 3))]
        return _all_of(operands) if kind < 0.8 else _any_of(operands)

    def _values(self) -> dict[str, Any]:
        every: dict[str, Any] = {
            "Kw": self.random.choice(WORDS),
            "Num": self.random.choice(NUMBERS),
            "Do": self.random.choice(PRICES),
            "Bo": self.random.random() < 0.5,
            "Da": self.random.choice(DAYS),
            "Li": self.random.sample(ELEMENTS, self.random.randint(1, 3)),
            "Tx": self.random.sample(TOKENS, self.random.randint(1, 3)),
        }
        return {name: value for name, value in every.items() if self.random.random() < 0.8}

    def _predicate(self) -> Query:
        name = self.random.choice(
            (*TYPES, "WorkflowId", "WorkflowType", "ExecutionStatus")
            # Times decide how a listing walks, and get more than their share.
            + ("StartTime", "CloseTime") * 3
        )
        if name in {"Li", "Tx"}:
            return self._membership(name)
        operators = ["=", "!=", "IN", "NOT IN", "IS NULL", "IS NOT NULL"]
        if name != "Bo":
            operators += ["<", "<=", ">", ">=", "BETWEEN", "NOT BETWEEN"] * 2
        if name in {"Kw", "WorkflowId", "WorkflowType"}:
            operators += ["STARTS_WITH", "NOT STARTS_WITH"]
        operator = self.random.choice(operators)
        operands = [self._operand(name) for _ in range(3)]
        return _comparison(name, operator, operands)

    def _membership(self, name: str) -> Query:
        sought = self.random.choice(ELEMENTS if name == "Li" else TOKENS)
        operator = self.random.choice(("=", "!=", "IS NULL", "IS NOT NULL"))
        if operator.startswith("IS"):
            return _comparison(name, operator, [])
        is_held = operator == "="
        return Query(
            f"{name} {operator} {_quoted(sought)}",
            lambda run: (sought in (run.value(name) or ())) == is_held,
        )

    def _operand(self, name: str) -> tuple[str, Any]:
        """An operand as it is written, and its value."""
        choose = self.random.choice
        match name:
            case "ExecutionStatus":
                status = choose(list(STATUSES))
                return _quoted(STATUSES[status]), status
            case "Num" | "Do":
                number = choose(NUMBERS if name == "Num" else PRICES)
                return repr(number), number
            case "Bo":
                return choose((("true", True), ("false", False)))
            case "Da":
                day = choose(DAYS)
                return _quoted(day.isoformat()), _nanoseconds(day)
            case "StartTime" | "CloseTime":
                moment = self.random.randint(FIRST - 2, LAST + 27)
                return str(moment), moment
            case _:
                word = choose(_TEXTS[name])
                return _quoted(word), word


def _comparison(name: str, operator: str, operands: list[tuple[str, Any]]) -> Query:
    texts = [text for text, _ in operands]
    match operator:
        case "IS NULL" | "IS NOT NULL":
            is_missing = operator == "IS NULL"
            return Query(f"{name} {operator}", lambda run: (run.value(name) is None) == is_missing)
        case "IN" | "NOT IN":
            written = f"({', '.join(texts)})"
        case "BETWEEN" | "NOT BETWEEN":
            written = f"{texts[0]} AND {texts[1]}"
        case _:
            written = texts[0]
    values = [value for _, value in operands]

    def holds(run: Run) -> Truth:
        value = run.value(name)
        return None if value is None else _compared(operator, value, values)

    return Query(f"{name} {operator} {written}", holds)


def _compared(operator: str, value: Any, operands: list[Any]) -> bool:
    first, second, *_ = operands
    return {
        "=": lambda: value == first,
        "!=": lambda: value != first,
        "<": lambda: value < first,
        "<=": lambda: value <= first,
        ">": lambda: value > first,
        ">=": lambda: value >= first,
        "IN": lambda: value in operands,
        "NOT IN": lambda: value not in operands,
        "BETWEEN": lambda: first <= value <= second,
        "NOT BETWEEN": lambda: not first <= value <= second,
        "STARTS_WITH": lambda: value.startswith(first),
        "NOT STARTS_WITH": lambda: not value.startswith(first),
    }[operator]()


def _negated(query: Query) -> Query:
    def holds(run: Run) -> Truth:
        answer = query.holds(run)
        return None if answer is None else not answer

    return Query(f"NOT ({query.text})", holds)


def _all_of(queries: list[Query]) -> Query:
    def holds(run: Run) -> Truth:
        answers = [query.holds(run) for query in queries]
        return False if False in answers else None if None in answers else True

    return Query(" AND ".join(f"({query.text})" for query in queries), holds)


def _any_of(queries: list[Query]) -> Query:
    def holds(run: Run) -> Truth:
        answers = [query.holds(run) for query in queries]
        return True if True in answers else None if None in answers else False

    return Query(" OR ".join(f"({query.text})" for query in queries), holds)


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
