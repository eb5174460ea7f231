"""Filters become SQL whose text never holds what a client sent."""

import re
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.commit import SearchValue
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Everything,
    Not,
    Operator,
    Or,
    ValueType,
    VisibilityFilter,
)
from perdure.persistence.postgres.statements import STATEMENTS as POSTGRES_STATEMENTS
from perdure.persistence.postgres.visibility import PostgresWhere
from perdure.persistence.sqlite.database import STATEMENTS
from perdure.persistence.sqlite.visibility import SqliteWhere
from perdure.persistence.visibility_paths import successor
from perdure.persistence.visibility_sql import COLUMNS, DURATION, Sql, WhereClause, compose

MARK = "Zz9"
"""In every name and text that the generated filters hold, and in no clause's own text."""
HOSTILE = st.text("'\";)(\\%?-/* \n$\0é", max_size=6).map(lambda rest: f"{MARK}{rest}{MARK}")
MEMBERSHIP = {ValueType.TEXT, ValueType.KEYWORD_LIST}
MEMBERSHIP_OPERATORS = [Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN]
UNARY = {Operator.IS_NULL, Operator.IS_NOT_NULL}
PREFIX = {Operator.STARTS_WITH, Operator.NOT_STARTS_WITH}
MANY = {Operator.IN, Operator.NOT_IN}
RANGE = {Operator.BETWEEN, Operator.NOT_BETWEEN}

OPERANDS: dict[ValueType, st.SearchStrategy[SearchValue]] = {
    ValueType.TEXT: HOSTILE,
    ValueType.KEYWORD: HOSTILE,
    ValueType.KEYWORD_LIST: HOSTILE,
    ValueType.INT: st.integers(7_000, 9_000),
    ValueType.DOUBLE: st.floats(7_000, 9_000),
    ValueType.BOOL: st.booleans(),
    ValueType.DATETIME: st.datetimes(timezones=st.just(UTC)),
}


@st.composite
def comparisons(draw: st.DrawFn) -> VisibilityFilter:
    value_type = draw(st.sampled_from(ValueType))
    column = draw(st.sampled_from([None, *sorted(COLUMNS), DURATION]))
    attribute = Attribute(draw(HOSTILE), value_type, column)
    allowed = MEMBERSHIP_OPERATORS if value_type in MEMBERSHIP else list(Operator)
    operator = draw(st.sampled_from([*allowed, *UNARY]))
    if operator in PREFIX:
        attribute = Attribute(attribute.name, ValueType.KEYWORD, column)
    sizes = {**dict.fromkeys(UNARY, (0, 0)), **dict.fromkeys(RANGE, (2, 2))}
    low, high = sizes.get(operator, (1, 4 if operator in MANY else 1))
    operands = st.lists(OPERANDS[attribute.value_type], min_size=low, max_size=high)
    return Comparison(attribute, operator, tuple(draw(operands)))


def combined(inner: st.SearchStrategy[VisibilityFilter]) -> st.SearchStrategy[VisibilityFilter]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(several.map(And), several.map(Or), inner.map(Not))


filters = st.recursive(st.one_of(st.just(Everything()), comparisons()), combined, max_leaves=6)


@given(filters)
def test_text_from_clients_is_always_a_parameter(where: VisibilityFilter) -> None:
    for clause in (SqliteWhere(), PostgresWhere()):
        text = clause.render(where)
        assert MARK not in text
        assert text.count(clause.placeholder) == len(clause.parameters)
        assert text.count("(") == text.count(")")
        assert ";" not in text


@given(filters)
def test_sqlite_understands_every_filter(where: VisibilityFilter) -> None:
    with sqlite3.connect(":memory:") as connection:
        columns = ", ".join([*sorted(COLUMNS), "search_values"])
        connection.execute(f"CREATE TABLE visibility ({columns})")
        clause = SqliteWhere()
        sql = f"SELECT COUNT(*) FROM visibility WHERE {clause.render(where)}"  # noqa: S608
        assert connection.execute(sql, clause.parameters).fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("make", [SqliteWhere, PostgresWhere])
def test_columns_come_from_a_fixed_table(make: Callable[[], WhereClause]) -> None:
    attribute = Attribute("A", ValueType.KEYWORD, "run_id = '' OR 1=1 --")
    with pytest.raises(ValueError, match="visibility has no column"):
        make().render(Comparison(attribute, Operator.EQUAL, ("x",)))


@pytest.mark.parametrize("make", [SqliteWhere, PostgresWhere])
@pytest.mark.parametrize("value_type", sorted(MEMBERSHIP, key=str))
@pytest.mark.parametrize("operator", [Operator.LESS, Operator.BETWEEN, Operator.STARTS_WITH])
def test_membership_has_no_order(
    make: Callable[[], WhereClause], value_type: ValueType, operator: Operator
) -> None:
    with pytest.raises(ValueError, match="does not apply to A"):
        make().render(Comparison(Attribute("A", value_type), operator, ("a", "b")))


STATUS = Attribute("ExecutionStatus", ValueType.INT, "status")
STARTED = Attribute("StartTime", ValueType.DATETIME, "start_time")
LASTED = Attribute("ExecutionDuration", ValueType.INT, DURATION)
CUSTOM = Attribute("Customer", ValueType.KEYWORD)
TAGGED = Attribute("Tags", ValueType.KEYWORD_LIST)


@pytest.mark.parametrize(
    ("where", "text", "parameters"),
    [
        (Everything(), "TRUE", []),
        (Comparison(STATUS, Operator.EQUAL, (1,)), "(status = ?)", [1]),
        (Comparison(STATUS, Operator.NOT_EQUAL, (1,)), "(status <> ?)", [1]),
        (Comparison(STATUS, Operator.NOT_IN, (1, 2)), "(status NOT IN (?, ?))", [1, 2]),
        (
            Comparison(STARTED, Operator.BETWEEN, (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 2)),
            "(start_time BETWEEN ? AND ?)",
            [1_000_000_000, 2],
        ),
        (
            Comparison(LASTED, Operator.IS_NULL),
            "((close_time - execution_time) IS NULL)",
            [],
        ),
        (
            Comparison(CUSTOM, Operator.GREATER, ("a",)),
            "(json_extract(search_values, ?) > ?)",
            ['$."s:Customer"', "a"],
        ),
        (
            Comparison(TAGGED, Operator.NOT_EQUAL, ("a",)),
            "(NOT EXISTS (SELECT 1 FROM json_each(search_values, ?) WHERE value IN (?)))",
            ['$."l:Tags"', "a"],
        ),
        (
            Not(
                And(
                    (
                        Comparison(STATUS, Operator.EQUAL, (1,)),
                        Or((Comparison(STATUS, Operator.LESS, (2,)), Everything())),
                    )
                )
            ),
            "(NOT ((status = ?) AND ((status < ?) OR TRUE)))",
            [1, 2],
        ),
    ],
)
def test_a_clause_for_sqlite(where: VisibilityFilter, text: str, parameters: list[object]) -> None:
    clause = SqliteWhere()
    assert clause.render(where) == text
    assert clause.parameters == parameters


def test_pieces_take_their_places_with_their_parameters() -> None:
    pieces = {"b": Sql("y IN (?, ?)", (2, 3)), "a": Sql("x = ?", (1,)), "c": Sql("/*a*/")}
    assert compose("/*a*/ OR /*b*/ OR /*a*/", pieces) == Sql(
        "x = ? OR y IN (?, ?) OR x = ?", (1, 2, 3, 1)
    )
    assert compose("/*c*/", pieces) == Sql("/*a*/")


def test_both_stores_have_the_same_places_in_their_statements() -> None:
    def places(statements: Mapping[str, str]) -> dict[str, set[str]]:
        found = {name: set(re.findall(r"/\*(\w+)\*/", sql)) for name, sql in statements.items()}
        return {name: holes for name, holes in found.items() if holes}

    assert places(STATEMENTS) == places(POSTGRES_STATEMENTS)
    assert len(places(STATEMENTS)) > 10
    assert not any(re.search(r"\{|%\(|\bformat\b", sql) for sql in STATEMENTS.values())


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("ab", "ac"),
        ("a\ud7ff", "a\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff\U0010ffff", None),
        ("", None),
    ],
)
def test_what_starts_with_a_prefix_lies_before_its_successor(
    prefix: str, expected: str | None
) -> None:
    assert successor(prefix) == expected
