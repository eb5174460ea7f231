"""Filters: every operator on every type, with the real server's answers.

Expectations with a comment `server:` were asked of Temporal 1.32 (start-dev). Deviation: its
SQLite store folds the case of KeywordList elements, its others do not, and neither does Perdure.
"""

from datetime import UTC, datetime

import pytest

from contract.rows import NAMESPACE, commit_all, transition, visible
from perdure.core.commit import SearchValue, VisibilityRow
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
from perdure.core.visibility.values import words
from perdure.persistence.ports import Shard, Store

O = Operator  # noqa: E741
KEYWORD = Attribute("Kw", ValueType.KEYWORD)
INT = Attribute("Num", ValueType.INT)
TEXT = Attribute("Tx", ValueType.TEXT)
LIST = Attribute("Kl", ValueType.KEYWORD_LIST)
BOOL = Attribute("Bo", ValueType.BOOL)
DOUBLE = Attribute("Do", ValueType.DOUBLE)
WHEN = Attribute("Da", ValueType.DATETIME)
ODD = Attribute('odd"na\\me%é', ValueType.KEYWORD)
WORKFLOW_ID = Attribute("WorkflowId", ValueType.KEYWORD, "workflow_id")
WORKFLOW_TYPE = Attribute("WorkflowType", ValueType.KEYWORD, "workflow_type")
TASK_QUEUE = Attribute("TaskQueue", ValueType.KEYWORD, "task_queue")
RUN_ID = Attribute("RunId", ValueType.KEYWORD, "run_id")
STATUS = Attribute("ExecutionStatus", ValueType.INT, "status")
START = Attribute("StartTime", ValueType.DATETIME, "start_time")
EXECUTION = Attribute("ExecutionTime", ValueType.DATETIME, "execution_time")
CLOSE = Attribute("CloseTime", ValueType.DATETIME, "close_time")
DURATION = Attribute("ExecutionDuration", ValueType.INT, "execution_duration")
LENGTH = Attribute("HistoryLength", ValueType.INT, "history_length")
SIZE = Attribute("HistorySizeBytes", ValueType.INT, "history_size_bytes")
COUNT = Attribute("StateTransitionCount", ValueType.INT, "state_transition_count")
PARENT = Attribute("ParentWorkflowId", ValueType.KEYWORD, "parent_workflow_id")
PARENT_RUN = Attribute("ParentRunId", ValueType.KEYWORD, "parent_run_id")
ROOT = Attribute("RootWorkflowId", ValueType.KEYWORD, "root_workflow_id")
ROOT_RUN = Attribute("RootRunId", ValueType.KEYWORD, "root_run_id")

DAY = datetime(2024, 1, 1, tzinfo=UTC)
NEXT_DAY = datetime(2024, 1, 2, tzinfo=UTC)
DAY_NANOSECONDS = 1_704_067_200_000_000_000


@pytest.fixture
async def listed(store: Store, shard: Shard) -> Store:
    """The runs that the real server was asked about, and a child."""
    values_a: dict[str, SearchValue] = {
        "Kw": "abc", "Num": 5, "Tx": words("Hello big-World, foo_bar Été"), "Kl": ["x", "y"],
        "Bo": True, "Do": 1.5, "Da": DAY, ODD.name: "found",
    }  # fmt: skip
    values_b: dict[str, SearchValue] = {
        "Kw": "Abd", "Num": -7, "Tx": words("hello there"), "Kl": ["X z"],
        "Bo": False, "Do": 2.0, "Da": NEXT_DAY,
    }  # fmt: skip
    rows = [
        visible("none", workflow_id="none"),
        visible("a", workflow_id="a", values=values_a),
        visible("b", workflow_id="b", values=values_b),
        _closed(),
    ]
    await commit_all(store, *(transition(shard, visibility=[row]) for row in rows))
    return store


def _closed() -> VisibilityRow:
    row = visible("closed", workflow_id="closed", values={"Kw": "", "Kl": []})
    row.status = 5
    row.start_time, row.execution_time, row.close_time = 1_000, 2_000, 5_000
    row.history_length, row.history_size_bytes, row.state_transition_count = 3, 300, 2
    row.parent_workflow_id, row.parent_run_id = "p", "p-run"
    row.root_workflow_id, row.root_run_id = "r", "r-run"
    return row


def is_(attribute: Attribute, operator: Operator, *operands: SearchValue) -> Comparison:
    return Comparison(attribute, operator, operands)


async def found(store: Store, where: VisibilityFilter) -> list[str]:
    rows = await store.list_workflows(NAMESPACE, where, None, 100)
    assert await store.count_workflows(NAMESPACE, where) == len(rows)
    return sorted(row.workflow_id for row in rows)


KEYWORDS = [
    (is_(KEYWORD, O.EQUAL, "abc"), "a"),  # server:
    (is_(KEYWORD, O.NOT_EQUAL, "abc"), "b closed"),  # server:
    (Not(is_(KEYWORD, O.EQUAL, "abc")), "b closed"),  # server:
    (is_(KEYWORD, O.IN, "abc", "x"), "a"),  # server:
    (is_(KEYWORD, O.NOT_IN, "abc", "x"), "b closed"),  # server:
    (is_(KEYWORD, O.IS_NULL), "none"),  # server:
    (is_(KEYWORD, O.IS_NOT_NULL), "a b closed"),  # server:
    (is_(KEYWORD, O.STARTS_WITH, "a"), "a"),
    (is_(KEYWORD, O.STARTS_WITH, "A"), "b"),
    (is_(KEYWORD, O.STARTS_WITH, "a%"), ""),
    (is_(KEYWORD, O.STARTS_WITH, ""), "a b closed"),  # server:
    (is_(KEYWORD, O.NOT_STARTS_WITH, "a"), "b closed"),
    (is_(KEYWORD, O.LESS, "abd"), "a b closed"),  # server:
    (is_(KEYWORD, O.GREATER_EQUAL, "Abd"), "a b"),  # server:
    (is_(KEYWORD, O.GREATER, "Abd"), "a"),
    (is_(KEYWORD, O.LESS_EQUAL, "Abd"), "b closed"),
    (is_(KEYWORD, O.BETWEEN, "A", "b"), "a b"),  # server:
    (is_(KEYWORD, O.NOT_BETWEEN, "A", "abc"), "closed"),  # server:
    (is_(KEYWORD, O.EQUAL, ""), "closed"),  # server:
    (is_(KEYWORD, O.EQUAL, "' OR 1=1 --"), ""),
    (is_(ODD, O.EQUAL, "found"), "a"),
    (is_(ODD, O.IS_NULL), "b closed none"),
]

NUMBERS = [
    (is_(INT, O.EQUAL, 5), "a"),
    (is_(INT, O.NOT_EQUAL, 5), "b"),
    (is_(INT, O.LESS, 0), "b"),
    (is_(INT, O.LESS_EQUAL, -7), "b"),
    (is_(INT, O.GREATER, -7), "a"),
    (is_(INT, O.GREATER_EQUAL, -7), "a b"),
    (is_(INT, O.BETWEEN, -10, 10), "a b"),
    (is_(INT, O.NOT_BETWEEN, 0, 6), "b"),
    (is_(INT, O.IN, 5, 6), "a"),
    (is_(INT, O.NOT_IN, 5), "b"),
    (is_(INT, O.IS_NULL), "closed none"),
    (is_(INT, O.IS_NOT_NULL), "a b"),
    (is_(DOUBLE, O.EQUAL, 2), "b"),  # server:
    (is_(DOUBLE, O.EQUAL, 1.5), "a"),
    (is_(DOUBLE, O.GREATER, 1.5), "b"),  # server:
    (is_(DOUBLE, O.NOT_EQUAL, 1.5), "b"),  # server:
    (is_(DOUBLE, O.BETWEEN, 1, 1.75), "a"),
    (is_(DOUBLE, O.IN, 1.5, 2.0), "a b"),
    (is_(BOOL, O.EQUAL, True), "a"),  # server:
    (is_(BOOL, O.NOT_EQUAL, True), "b"),  # server:
    (is_(BOOL, O.EQUAL, False), "b"),
    (is_(BOOL, O.IS_NULL), "closed none"),  # server:
    (Not(is_(BOOL, O.EQUAL, True)), "b"),  # server:
]

TIMES = [
    (is_(WHEN, O.EQUAL, DAY), "a"),
    (is_(WHEN, O.EQUAL, DAY_NANOSECONDS), "a"),
    (is_(WHEN, O.NOT_EQUAL, DAY), "b"),
    (is_(WHEN, O.GREATER, DAY_NANOSECONDS), "b"),
    (is_(WHEN, O.LESS_EQUAL, DAY), "a"),
    (is_(WHEN, O.BETWEEN, DAY, NEXT_DAY), "a b"),
    (is_(WHEN, O.IS_NULL), "closed none"),
    (is_(CLOSE, O.IS_NULL), "a b none"),  # server:
    (is_(CLOSE, O.IS_NOT_NULL), "closed"),  # server:
    (is_(CLOSE, O.GREATER, 0), "closed"),  # server:
    (is_(CLOSE, O.LESS, 1 << 62), "closed"),
    (is_(START, O.EQUAL, 100), "a b none"),
    (is_(START, O.GREATER_EQUAL, 1_000), "closed"),
    (is_(EXECUTION, O.BETWEEN, 1_500, 2_500), "closed"),
    (is_(EXECUTION, O.IS_NULL), ""),  # server:
    (is_(DURATION, O.EQUAL, 3_000), "closed"),
    (is_(DURATION, O.IS_NULL), "a b none"),  # server:
    (is_(DURATION, O.GREATER_EQUAL, 0), "closed"),  # server:
    (is_(LENGTH, O.IS_NULL), "a b none"),  # server:
    (is_(LENGTH, O.LESS, 100), "closed"),  # server:
    (is_(LENGTH, O.NOT_EQUAL, 0), "closed"),  # server:
    (is_(SIZE, O.IS_NULL), "a b none"),  # server:
    (is_(COUNT, O.IS_NULL), "a b none"),  # server:
]

WORDS = [
    (is_(TEXT, O.EQUAL, "hello"), "a b"),  # server:
    (is_(TEXT, O.EQUAL, "HELLO"), "a b"),  # server:
    (is_(TEXT, O.EQUAL, "hello nothing"), "a b"),  # server:
    (is_(TEXT, O.EQUAL, "world"), "a"),  # server:
    (is_(TEXT, O.EQUAL, "big-world"), "a"),  # server:
    (is_(TEXT, O.EQUAL, "foo"), "a"),  # server:
    (is_(TEXT, O.EQUAL, "foo_bar"), "a"),  # server:
    (is_(TEXT, O.EQUAL, "Été"), "a"),
    (is_(TEXT, O.EQUAL, "hel"), ""),  # server:
    (is_(TEXT, O.EQUAL, ""), ""),
    (is_(TEXT, O.EQUAL, "big there"), "a b"),  # server:
    (is_(TEXT, O.IN, "big", "there"), "a b"),
    (is_(TEXT, O.NOT_EQUAL, "big"), "b closed none"),  # server:
    (Not(is_(TEXT, O.EQUAL, "big")), "b closed none"),  # server:
    (is_(TEXT, O.NOT_EQUAL, "hello nothing"), "closed none"),  # server:
    (is_(TEXT, O.IS_NULL), "closed none"),  # server:
    (is_(TEXT, O.IS_NOT_NULL), "a b"),
    (is_(LIST, O.EQUAL, "x"), "a"),  # server:
    (is_(LIST, O.EQUAL, "X"), ""),
    (is_(LIST, O.EQUAL, "z"), ""),  # server:
    (is_(LIST, O.EQUAL, "X z"), "b"),  # server:
    (is_(LIST, O.NOT_EQUAL, "x"), "b closed none"),  # server:
    (Not(is_(LIST, O.EQUAL, "x")), "b closed none"),  # server:
    (is_(LIST, O.IN, "x", "nope"), "a"),  # server:
    (is_(LIST, O.NOT_IN, "x", "y"), "b closed none"),  # server:
    (is_(LIST, O.IS_NULL), "closed none"),  # server:
    (is_(LIST, O.IS_NOT_NULL), "a b"),  # server:
]

COLUMNS = [
    (is_(WORKFLOW_ID, O.EQUAL, "a"), "a"),
    (is_(WORKFLOW_ID, O.GREATER, "a"), "b closed none"),  # server:
    (is_(WORKFLOW_ID, O.STARTS_WITH, "c"), "closed"),
    (is_(RUN_ID, O.IN, "a", "none"), "a none"),
    (is_(WORKFLOW_TYPE, O.EQUAL, "type"), ""),
    (is_(WORKFLOW_TYPE, O.EQUAL, "Type"), "a b closed none"),
    (is_(TASK_QUEUE, O.EQUAL, "queue"), "a b closed none"),  # server:
    (is_(TASK_QUEUE, O.IS_NULL), ""),  # server:
    (is_(STATUS, O.EQUAL, 1), "a b none"),
    (is_(STATUS, O.NOT_IN, 1), "closed"),  # server:
    (is_(STATUS, O.LESS, 5), "a b none"),  # server:
    (is_(PARENT, O.IS_NULL), "a b none"),  # server:
    (is_(PARENT, O.NOT_EQUAL, "x"), "closed"),  # server:
    (is_(PARENT, O.EQUAL, ""), ""),  # server:
    (is_(PARENT_RUN, O.EQUAL, "p-run"), "closed"),
    (is_(ROOT, O.IS_NULL), ""),  # server:
    (is_(ROOT, O.EQUAL, "r"), "closed"),
    (is_(ROOT_RUN, O.EQUAL, "a"), "a"),
]

TREES = [
    (Everything(), "a b closed none"),
    (And((is_(KEYWORD, O.EQUAL, "abc"), is_(INT, O.EQUAL, 5))), "a"),
    (And((Everything(), is_(INT, O.EQUAL, 5))), "a"),
    (Or((is_(KEYWORD, O.EQUAL, "abc"), is_(INT, O.EQUAL, -7))), "a b"),
    (Not(And((is_(KEYWORD, O.EQUAL, "abc"), is_(INT, O.EQUAL, 5)))), "b closed"),
    (Not(Or((is_(KEYWORD, O.EQUAL, "abc"), is_(INT, O.EQUAL, -7)))), ""),
    (Or((is_(KEYWORD, O.NOT_EQUAL, "abc"), is_(LIST, O.NOT_EQUAL, "x"))), "b closed none"),
    (Not(Not(is_(KEYWORD, O.EQUAL, "abc"))), "a"),
    (Or((is_(INT, O.EQUAL, 5), Not(is_(INT, O.EQUAL, 5)))), "a b"),
    (Not(Everything()), ""),
]

WRONG_TYPES = [
    (is_(Attribute("Kw", ValueType.INT), O.IS_NULL), "a b closed none"),
    (is_(Attribute("Num", ValueType.KEYWORD), O.EQUAL, "5"), ""),
    (is_(Attribute("Num", ValueType.DOUBLE), O.EQUAL, 5.0), ""),
    (is_(Attribute("Kl", ValueType.KEYWORD), O.IS_NOT_NULL), ""),
    (is_(Attribute("Kw", ValueType.KEYWORD_LIST), O.EQUAL, "abc"), ""),
    (is_(Attribute("Kw", ValueType.TEXT), O.EQUAL, "ABC"), ""),
]


@pytest.mark.parametrize(
    ("where", "expected"),
    [*KEYWORDS, *NUMBERS, *TIMES, *WORDS, *COLUMNS, *TREES, *WRONG_TYPES],
    ids=lambda value: value if isinstance(value, str) else _describe(value),
)
async def test_a_filter_finds(listed: Store, where: VisibilityFilter, expected: str) -> None:
    assert await found(listed, where) == expected.split()


def _describe(where: VisibilityFilter) -> str:
    if isinstance(where, Comparison):
        operands = ",".join(map(str, where.operands))
        return f"{where.attribute.name} {where.operator.value} {operands}"
    return type(where).__name__


@pytest.mark.parametrize(
    "where",
    [
        is_(LIST, O.LESS, "a"),
        is_(TEXT, O.STARTS_WITH, "a"),
        is_(Attribute("Bad", ValueType.KEYWORD, "run_id; DROP TABLE runs"), O.EQUAL, "a"),
    ],
)
async def test_a_filter_without_meaning_is_an_error(listed: Store, where: VisibilityFilter) -> None:
    with pytest.raises(ValueError, match=r"does not apply|has no column"):
        await listed.list_workflows(NAMESPACE, where, None, 10)


async def test_times_beyond_64_bits_are_compared_as_the_last_or_first(
    store: Store, shard: Shard
) -> None:
    never, zero = datetime(9999, 12, 31, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)
    times = {"now": DAY, "never": never, "zero": zero}
    rows = [visible(name, workflow_id=name, values={"Da": times[name]}) for name in times]
    await commit_all(store, *(transition(shard, visibility=[row]) for row in rows))
    assert await found(store, is_(WHEN, O.GREATER, DAY)) == ["never"]
    assert await found(store, is_(WHEN, O.LESS_EQUAL, DAY)) == ["now", "zero"]
    assert await found(store, is_(WHEN, O.EQUAL, never)) == ["never"]
    assert await found(store, is_(WHEN, O.BETWEEN, zero, never)) == ["never", "now", "zero"]
