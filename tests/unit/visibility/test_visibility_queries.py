"""The query language: what it takes, what it refuses and in which words, and what comes of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility import catalogue
from perdure.core.visibility.catalogue import AttributeSet, workflows
from perdure.core.visibility.limits import QueryLimits
from perdure.core.visibility.parser import outside_divisions, parse, parse_query
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Everything,
    Operator,
    Or,
    ValueType,
    VisibilityFilter,
)
from unit.frontend.invalid_requests import CUSTOM_ATTRIBUTES

LIMITS = QueryLimits()
TYPES = {name: ValueType(number) for name, number in CUSTOM_ATTRIBUTES.items()}
KEYWORD = Attribute("MyKeyword", ValueType.KEYWORD)
NUMBER = Attribute("MyInt", ValueType.INT)
SECOND = 1_000_000_000


def recorded() -> list[tuple[str, str]]:
    text = (Path(__file__).parent / "queries.txt").read_text()
    blocks = (block.split("\n") for block in text.split("\n\n")[1:])
    return [(lines[0], lines[1].strip()) for lines in blocks]


def where(query: str) -> VisibilityFilter:
    return parse_query(query, TYPES).where


def equal(value: str) -> Comparison:
    return Comparison(KEYWORD, Operator.EQUAL, (value,))


def answer(query: str) -> str:
    try:
        parse_query(query, TYPES)
    except InvalidArgumentError as error:
        prefix, _, text = error.message.partition(": ")
        assert prefix == "invalid query"
        return text.strip()
    return "OK"


def test_queries_are_taken_and_refused_as_by_the_real_server() -> None:
    table = recorded()
    assert len(table) > 300
    differing = {query: answer(query) for query, expected in table if answer(query) != expected}
    assert not differing


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Everything()),
        (" \n", Everything()),
        ("MyKeyword = 'a'", equal("a")),
        ("(MyKeyword = 'a')", equal("a")),
        ("NOT MyKeyword = 'a'", Comparison(KEYWORD, Operator.NOT_EQUAL, ("a",))),
        ("NOT NOT (MyKeyword = 'a')", equal("a")),
        (
            "NOT (MyInt < 1 OR MyInt NOT BETWEEN 2 AND 3 AND MyInt IS NULL)",
            And(
                (
                    Comparison(NUMBER, Operator.GREATER_EQUAL, (1,)),
                    Or(
                        (
                            Comparison(NUMBER, Operator.BETWEEN, (2, 3)),
                            Comparison(NUMBER, Operator.IS_NOT_NULL),
                        )
                    ),
                )
            ),
        ),
        (
            "MyKeyword = 'a' AND (MyKeyword = 'b' AND (MyKeyword = 'c'))",
            And((equal("a"), equal("b"), equal("c"))),
        ),
        (
            "MyKeyword = 'a' OR MyKeyword = 'b' AND MyKeyword = 'c'",
            Or((equal("a"), And((equal("b"), equal("c"))))),
        ),
        (
            "(MyKeyword = 'a' OR MyKeyword = 'b') AND MyKeyword = 'c'",
            And((Or((equal("a"), equal("b"))), equal("c"))),
        ),
        (
            "MyKeyword = 'a' || MyKeyword = 'b' or MyKeyword = 'c'",
            Or((equal("a"), equal("b"), equal("c"))),
        ),
        ("MyKeyword IS NULL", Comparison(KEYWORD, Operator.IS_NULL)),
        ("MyKeyword is not null", Comparison(KEYWORD, Operator.IS_NOT_NULL)),
        ("MyKeyword not in ('a', 'b')", Comparison(KEYWORD, Operator.NOT_IN, ("a", "b"))),
        ("MyKeyword <> 'a'", Comparison(KEYWORD, Operator.NOT_EQUAL, ("a",))),
        ("`MyKeyword` starts_with 'a'", Comparison(KEYWORD, Operator.STARTS_WITH, ("a",))),
        (
            "MyKeyword NOT STARTS_WITH 'a'",
            Comparison(KEYWORD, Operator.NOT_STARTS_WITH, ("a",)),
        ),
        ("MyInt NOT BETWEEN -5 AND +7", Comparison(NUMBER, Operator.NOT_BETWEEN, (-5, 7))),
        ("MyInt > 1.5", Comparison(NUMBER, Operator.GREATER, (1.5,))),
        (
            "MyInt > 99999999999999999999",
            Comparison(NUMBER, Operator.GREATER, (1e20,)),
        ),
        ("ExecutionStatus = 'Running'", Comparison(catalogue.STATUS, Operator.EQUAL, (1,))),
        (
            "ExecutionStatus IN (2, 'ContinuedAsNew')",
            Comparison(catalogue.STATUS, Operator.IN, (2, 6)),
        ),
        (
            "StartTime > '1970-01-01T01:00:00.123456789+01:00'",
            Comparison(catalogue.START_TIME, Operator.GREATER, (123_456_789,)),
        ),
        (
            "StartTime > '9999-01-01T00:00:00Z'",
            Comparison(catalogue.START_TIME, Operator.GREATER, (2**63 - 1,)),
        ),
        (
            "ExecutionDuration < '1h30m' ",
            Comparison(catalogue.DURATION, Operator.LESS, (5_400 * SECOND,)),
        ),
        (
            "ExecutionDuration < '1.5d'",
            Comparison(catalogue.DURATION, Operator.LESS, (129_600 * SECOND,)),
        ),
        (
            "ExecutionDuration < '01:02:03'",
            Comparison(catalogue.DURATION, Operator.LESS, (3_723 * SECOND,)),
        ),
        (
            "ExecutionDuration < '-250ms'",
            Comparison(catalogue.DURATION, Operator.LESS, (-SECOND // 4,)),
        ),
        (r"MyKeyword = 'it''s \'a\' \"b\" \\ \n'", equal("it's 'a' \"b\" \\ \n")),
    ],
)
def test_a_query_becomes_a_tree(query: str, expected: VisibilityFilter) -> None:
    assert where(query) == expected


def test_negations_that_follow_each_other_are_not_nested() -> None:
    many = " AND ".join(["NOT (MyInt NOT IN (1))"] * 150)
    assert where(many) == And((Comparison(NUMBER, Operator.IN, (1,)),) * 150)


def test_counts_can_be_grouped_by_status_and_by_division() -> None:
    parsed = parse_query("MyKeyword = 'a' GROUP BY ExecutionStatus", TYPES)
    assert parsed.group_by is catalogue.STATUS
    assert parsed.where == equal("a")
    parsed = parse_query("GROUP BY NamespaceDivision", TYPES)
    assert (parsed.group_by, parsed.names_division) == (catalogue.NAMESPACE_DIVISION, True)
    assert parse_query("MyKeyword = 'a'", TYPES).group_by is None


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("x" * (LIMITS.max_bytes + 1), "longer than"),
        ("MyInt = 1 OR " * LIMITS.max_tokens + "MyInt = 1", "more than"),
        # server: both positions
        ("(" * 1_000 + "MyInt = 1" + ")" * 1_000, "max nesting level reached at position 228"),
        ("NOT " * 1_000 + "MyInt = 1", "max nesting level reached at position 827 near 'not'"),
        ("(NOT " * 100 + "MyInt = 1" + ")" * 100, "max nesting level reached"),
        ("(" * 150, "syntax error"),
        ("(MyInt = 1 AND (MyInt = 2 OR " * 9 + "MyInt = 3" + "))" * 9, "AND and OR alternate"),
        ("-" * 2_000 + "1", "syntax error"),
        ("MyInt = " + "+" * 2_000 + "1", "unary operator"),
        ("MyInt = " + "(" * 150 + "1" + ")" * 150, "unexpected value type"),
    ],
)
def test_what_would_cost_too_much_is_refused(query: str, part: str) -> None:
    assert part in answer(query)


def test_nesting_that_is_allowed_works() -> None:
    levels = LIMITS.max_nesting - 1
    deepest = "(" * levels + "MyInt = 1" + ")" * levels
    assert where(deepest) == Comparison(NUMBER, Operator.EQUAL, (1,))


_WORDS = st.sampled_from(
    [
        *("MyInt", "MyText", "MyKeyword", "MyBool", "MyTime", "MyList", "Nope", "`x`"),
        *("ExecutionStatus", "StartTime", "ExecutionDuration"),
        *("AND", "OR", "NOT", "IN", "BETWEEN", "IS", "NULL", "STARTS_WITH", "LIKE"),
        *("GROUP", "BY", "ORDER", "LIMIT"),
        *("(", ")", ",", "=", "!=", "<", "<=", ">", ">=", "<=>", "+", "-", "*", ".", ";", "--"),
        *("'a'", "'Running'", "'1s'", "1", "-2", "1.5", "true", "'open", '"open'),
    ]
)


@given(st.lists(_WORDS, max_size=30).map(" ".join) | st.text(max_size=60))
def test_any_text_is_taken_or_refused(query: str) -> None:
    assert answer(query)


def test_runs_of_a_division_are_hidden_from_queries_that_name_none() -> None:
    ordinary = Comparison(catalogue.NAMESPACE_DIVISION, Operator.IS_NULL)
    assert parse_query("", TYPES).visible == ordinary
    assert parse_query("GROUP BY ExecutionStatus", TYPES).visible == ordinary
    either = "MyKeyword = 'a' OR MyKeyword = 'b'"
    assert parse_query(either, TYPES).visible == And((where(either), ordinary))


@pytest.mark.parametrize(
    "query",
    [
        "TemporalNamespaceDivision = 'x'",
        "NamespaceDivision IS NULL",
        "MyKeyword = 'a' AND NOT (MyInt = 1 OR TemporalNamespaceDivision != 'x')",
    ],
)
def test_a_query_that_names_a_division_sees_what_it_says(query: str) -> None:
    parsed = parse_query(query, TYPES)
    assert parsed.visible == parsed.where != outside_divisions(parsed.where)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ScheduledById", Attribute("TemporalScheduledById", ValueType.KEYWORD)),
        ("TemporalBuildIds", Attribute("BuildIds", ValueType.KEYWORD_LIST)),
        ("TemporalExecutionStatus", catalogue.STATUS),
        ("WorkerDeployment", Attribute("TemporalWorkerDeployment", ValueType.KEYWORD)),
    ],
)
def test_a_built_in_attribute_is_found_with_the_prefix_and_without(
    name: str, expected: Attribute
) -> None:
    assert workflows(TYPES).find(name) == expected


def test_a_custom_attribute_comes_before_another_name_of_a_built_in_one() -> None:
    custom = {"PauseInfo": ValueType.INT}
    assert workflows(custom).find("PauseInfo") == Attribute("PauseInfo", ValueType.INT)
    assert workflows(TYPES).find("TemporalMyInt") is None


def test_other_things_than_workflows_have_attributes_of_their_own() -> None:
    paused = Attribute("TemporalSchedulePaused", ValueType.BOOL)
    schedules = AttributeSet({paused.name: paused}.get, TYPES)
    parsed = parse("SchedulePaused = true AND MyInt = 1", schedules)
    assert parsed.where == And(
        (
            Comparison(paused, Operator.EQUAL, (True,)),
            Comparison(NUMBER, Operator.EQUAL, (1,)),
        )
    )
    with pytest.raises(InvalidArgumentError, match="invalid search attribute: ExecutionStatus"):
        parse("ExecutionStatus = 'Running'", schedules)
    with pytest.raises(InvalidArgumentError, match="'GROUP BY' clause is not supported"):
        parse("GROUP BY SchedulePaused", schedules)
