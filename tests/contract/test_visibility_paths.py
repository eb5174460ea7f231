"""The ways that a listing and a count can take all lead to the same runs."""

from dataclasses import replace

import pytest

from contract.rows import NAMESPACE, commit_all, transition, visible
from perdure.core.commit import VisibilityRow
from perdure.core.visibility import catalogue
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Operator,
    Or,
    ValueType,
    VisibilityFilter,
)
from perdure.core.visibility.values import words
from perdure.persistence import visibility_counting, visibility_listing
from perdure.persistence.memory.evaluation import matches, value_of
from perdure.persistence.ports import Shard, Store, VisibilityCursor
from perdure.persistence.postgres.visibility import PostgresPaths
from perdure.persistence.sqlite.visibility import SqlitePaths

O = Operator  # noqa: E741
COLOR = Attribute("Color", ValueType.KEYWORD)
AMOUNT = Attribute("Amount", ValueType.INT)
PRICE = Attribute("Price", ValueType.DOUBLE)
SOLD = Attribute("Sold", ValueType.BOOL)
TAGS = Attribute("Tags", ValueType.KEYWORD_LIST)
NOTE = Attribute("Note", ValueType.TEXT)
CLOSED = catalogue.SYSTEM["CloseTime"]
LENGTH = catalogue.SYSTEM["HistoryLength"]
PARENT = catalogue.SYSTEM["ParentWorkflowId"]
QUEUE = catalogue.SYSTEM["TaskQueue"]
LONG = "x" * 299 + "\U0001f600"
ORDINARY = Comparison(catalogue.NAMESPACE_DIVISION, O.IS_NULL)
ROWS = 40


def _row(number: int) -> VisibilityRow:
    is_open = number % 5 == 0
    row = visible(
        f"run-{number:02d}",
        workflow_id=f"wf-{number % 13:02d}",
        start_time=1_000 + number * 7 % 50,
        close_time=0 if is_open else 2_000 + number * 11 % 60,
        status=1 if is_open else 2 + number % 3,
        values={
            "Color": ("red", "green", LONG + "a", LONG + "b", "")[number % 5],
            "Amount": number % 9 - 4,
            "Price": number / 8,
            "Sold": number % 3 == 0,
            "Tags": [f"t{number % 4}", f"t{number % 7}", "all"],
            "Note": words(f"Note {number % 6} and {number % 4}"),
            **({"TemporalNamespaceDivision": "Div"} if number % 17 == 3 else {}),
        }
        if number % 8
        else {},
    )
    row.workflow_type = f"Type{number % 4}"
    row.task_queue = f"queue-{number % 3}"
    if number % 6 == 1:
        row.parent_workflow_id, row.parent_run_id = f"parent-{number % 2}", "run"
    return row


RUNS = [_row(number) for number in range(ROWS)]


@pytest.fixture
async def filled(store: Store, shard: Shard) -> Store:
    """Runs that were open before they were as they are now, and one that was deleted."""
    for row in RUNS:
        before = visible(row.run_id, workflow_id=row.workflow_id, values={"Color": "before"})
        await commit_all(store, transition(shard, visibility=[before]))
    await commit_all(store, *(transition(shard, visibility=[row]) for row in RUNS))
    return store


def _is(attribute: Attribute, operator: Operator, *operands: object) -> Comparison:
    return Comparison(attribute, operator, operands)  # type: ignore[arg-type]


FILTERS: list[VisibilityFilter] = [
    _is(catalogue.WORKFLOW_ID, O.EQUAL, "wf-03"),
    _is(catalogue.WORKFLOW_ID, O.IN, "wf-03", "wf-04"),
    _is(catalogue.WORKFLOW_ID, O.STARTS_WITH, "wf-0"),
    _is(catalogue.WORKFLOW_ID, O.STARTS_WITH, ""),
    _is(catalogue.WORKFLOW_ID, O.NOT_EQUAL, "wf-03"),
    _is(catalogue.RUN_ID, O.EQUAL, "run-07"),
    _is(catalogue.RUN_ID, O.IN, "run-07", "run-08", "none"),
    _is(catalogue.WORKFLOW_TYPE, O.EQUAL, "Type1"),
    _is(catalogue.WORKFLOW_TYPE, O.IN, "Type1", "Type2"),
    _is(catalogue.STATUS, O.EQUAL, 2),
    _is(catalogue.STATUS, O.GREATER, 2),
    _is(QUEUE, O.EQUAL, "queue-1"),
    _is(PARENT, O.EQUAL, "parent-1"),
    _is(PARENT, O.IS_NULL),
    _is(LENGTH, O.GREATER, 3),
    _is(catalogue.START_TIME, O.GREATER_EQUAL, 1_005),
    _is(catalogue.START_TIME, O.LESS, 1_045),
    _is(catalogue.START_TIME, O.BETWEEN, 1_002, 1_048),
    _is(catalogue.START_TIME, O.BETWEEN, 1_020, 1_025),
    _is(catalogue.START_TIME, O.BETWEEN, 1_048, 1_002),
    _is(catalogue.START_TIME, O.NOT_BETWEEN, 1_020, 1_025),
    _is(CLOSED, O.GREATER, 2_005),
    _is(CLOSED, O.LESS_EQUAL, 2_055),
    _is(CLOSED, O.BETWEEN, 2_001, 2_058),
    _is(CLOSED, O.BETWEEN, 2_001, (1 << 63) - 1),
    _is(CLOSED, O.LESS_EQUAL, (1 << 63) - 1),
    _is(CLOSED, O.IS_NULL),
    _is(CLOSED, O.IS_NOT_NULL),
    *(_is(COLOR, operator, "green") for operator in (O.EQUAL, O.NOT_EQUAL, O.LESS, O.GREATER)),
    _is(COLOR, O.IN, "green", "red"),
    _is(COLOR, O.NOT_IN, "green", "red"),
    _is(COLOR, O.STARTS_WITH, "gr"),
    _is(COLOR, O.NOT_STARTS_WITH, "gr"),
    _is(COLOR, O.IS_NULL),
    _is(COLOR, O.IS_NOT_NULL),
    *(
        _is(COLOR, operator, LONG + "a")
        for operator in (O.EQUAL, O.NOT_EQUAL, O.GREATER, O.LESS, O.GREATER_EQUAL, O.STARTS_WITH)
    ),
    _is(COLOR, O.BETWEEN, LONG + "a", LONG + "b"),
    *(_is(AMOUNT, operator, -1) for operator in (O.EQUAL, O.NOT_EQUAL, O.LESS, O.GREATER_EQUAL)),
    _is(AMOUNT, O.BETWEEN, -2, 2),
    _is(AMOUNT, O.NOT_BETWEEN, -2, 2),
    _is(PRICE, O.EQUAL, 0.625),
    _is(PRICE, O.LESS, 1.3),
    _is(SOLD, O.EQUAL, True),
    _is(SOLD, O.NOT_EQUAL, True),
    _is(TAGS, O.EQUAL, "t2"),
    _is(TAGS, O.IN, "t2", "t5", "all"),
    _is(TAGS, O.NOT_EQUAL, "t2"),
    _is(TAGS, O.NOT_IN, "t2", "t5"),
    _is(TAGS, O.IS_NULL),
    _is(NOTE, O.EQUAL, "3 note"),
    _is(NOTE, O.NOT_EQUAL, "3"),
    _is(NOTE, O.EQUAL, "--"),
    _is(catalogue.NAMESPACE_DIVISION, O.EQUAL, "Div"),
    _is(catalogue.NAMESPACE_DIVISION, O.IS_NOT_NULL),
    And((_is(COLOR, O.EQUAL, "green"), _is(catalogue.STATUS, O.EQUAL, 2))),
    And((_is(COLOR, O.EQUAL, LONG + "a"), _is(TAGS, O.EQUAL, "t2"))),
    And((_is(catalogue.WORKFLOW_TYPE, O.EQUAL, "Type1"), _is(AMOUNT, O.LESS, 2))),
    And((_is(catalogue.START_TIME, O.LESS, 1_030), _is(QUEUE, O.EQUAL, "queue-1"))),
    And((_is(catalogue.RUN_ID, O.IN, "run-07", "run-09"), _is(AMOUNT, O.LESS, 3))),
    And((_is(COLOR, O.EQUAL, "green"), _is(TAGS, O.EQUAL, "all"))),
    And((_is(COLOR, O.EQUAL, "green"), _is(TAGS, O.IN, "t2", "t5"), _is(SOLD, O.EQUAL, True))),
    And((_is(TAGS, O.EQUAL, "t2"), _is(TAGS, O.EQUAL, "t5"))),
    And((_is(TAGS, O.IN, "t1", "t2"), _is(catalogue.STATUS, O.GREATER, 2))),
    And((_is(NOTE, O.EQUAL, "3 note"), _is(catalogue.START_TIME, O.GREATER_EQUAL, 1_003))),
    And((_is(AMOUNT, O.GREATER_EQUAL, -3), _is(AMOUNT, O.LESS, 3))),
    And((_is(AMOUNT, O.GREATER_EQUAL, -3), _is(COLOR, O.EQUAL, "green"))),
    And((_is(COLOR, O.GREATER, "gr"), _is(COLOR, O.LESS, LONG + "b"))),
    And((_is(COLOR, O.EQUAL, "green"), _is(COLOR, O.EQUAL, "red"))),
    And((_is(catalogue.START_TIME, O.GREATER, 1_003), _is(catalogue.START_TIME, O.LESS, 1_047))),
    And((_is(catalogue.START_TIME, O.LESS, 1_047), _is(COLOR, O.EQUAL, "green"))),
    And((_is(catalogue.START_TIME, O.BETWEEN, 1_001, 1_049), _is(CLOSED, O.LESS, 2_050))),
    And((_is(catalogue.START_TIME, O.IN, 1_007, 1_014), _is(catalogue.STATUS, O.EQUAL, 2))),
    And((_is(CLOSED, O.BETWEEN, 2_003, 2_055), _is(TAGS, O.EQUAL, "all"))),
    And((_is(CLOSED, O.GREATER, 2_003), _is(CLOSED, O.LESS_EQUAL, 2_055))),
    And((_is(CLOSED, O.IS_NULL), _is(catalogue.START_TIME, O.GREATER, 1_003))),
    And((_is(CLOSED, O.IS_NOT_NULL), _is(catalogue.WORKFLOW_TYPE, O.EQUAL, "Type1"))),
    And((_is(CLOSED, O.NOT_BETWEEN, 2_020, 2_030), _is(COLOR, O.EQUAL, "green"))),
    And((_is(CLOSED, O.IN, 2_011, 2_022), _is(COLOR, O.IN, "green", "red"))),
    And((_is(catalogue.WORKFLOW_TYPE, O.EQUAL, "Type1"), _is(COLOR, O.EQUAL, "green"))),
    And(
        (
            _is(catalogue.WORKFLOW_TYPE, O.EQUAL, "Type1"),
            _is(catalogue.STATUS, O.EQUAL, 2),
            _is(catalogue.START_TIME, O.LESS, 1_045),
        )
    ),
    And((_is(catalogue.WORKFLOW_TYPE, O.IS_NULL), _is(COLOR, O.EQUAL, "green"))),
    Or((_is(COLOR, O.EQUAL, "green"), _is(catalogue.STATUS, O.EQUAL, 3))),
    And((Or((_is(COLOR, O.EQUAL, "red"), _is(SOLD, O.EQUAL, True))), _is(AMOUNT, O.LESS, 2))),
]


def _described(where: VisibilityFilter) -> str:
    if isinstance(where, Comparison):
        operands = ",".join(str(operand)[-6:] for operand in where.operands)
        return f"{where.attribute.name} {where.operator.value} {operands}"
    return type(where).__name__


def _order(row: VisibilityRow) -> tuple[int, int, str]:
    return (row.close_time or 1 << 63, row.start_time, row.run_id)


WAYS = {
    "walk": (10_000, 10_000, 1e6, {}),
    "path": (1, 10_000, 1e6, {"scanned": 1e9, "run": 1e9}),
    "stretch and path": (1, 10_000, 0.0, {"step": 1e6, "scanned": 1e9, "held": 1e9}),
    "stretches": (1, 10_000, 0.0, {"step": 0.001, "scanned": 0.0}),
    "walk on": (1, 1, 0.0, {"scanned": 1e9, "run": 1e9}),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def _ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds and costs by which listings and counts take each of their ways."""
    walked, most, at_once, costs = request.param
    monkeypatch.setattr(visibility_listing, "WALKED", walked)
    monkeypatch.setattr(visibility_listing, "MOST_LISTED", most)
    monkeypatch.setattr(visibility_listing, "AT_ONCE_MICROSECONDS", at_once)
    monkeypatch.setattr(visibility_counting, "MOST_COUNTED", most)
    for paths in (SqlitePaths, PostgresPaths):
        monkeypatch.setattr(paths, "costs", replace(paths.costs, **costs))


@pytest.mark.usefixtures("_ways")
@pytest.mark.parametrize("where", FILTERS, ids=_described)
@pytest.mark.parametrize("ordinary", [True, False], ids=["outside divisions", "all"])
async def test_every_way_leads_to_the_same_runs(
    filled: Store, where: VisibilityFilter, ordinary: bool
) -> None:
    if ordinary:
        where = And((*(where.operands if isinstance(where, And) else (where,)), ORDINARY))
    matching = [row for row in sorted(RUNS, key=_order, reverse=True) if matches(where, row)]
    expected = [row.run_id for row in matching]
    found: list[str] = []
    after = None
    while page := await filled.list_workflows(NAMESPACE, where, after, 7):
        found += [row.run_id for row in page]
        after = VisibilityCursor(page[-1].close_time, page[-1].start_time, page[-1].run_id)
    assert found == expected
    assert await filled.count_workflows(NAMESPACE, where) == len(expected)
    for attribute in (catalogue.STATUS, catalogue.NAMESPACE_DIVISION):
        groups: dict[object, int] = {}
        for row in matching:
            value = value_of(attribute, row)
            groups[value] = groups.get(value, 0) + 1
        assert await filled.count_workflows_by(NAMESPACE, where, attribute) == groups
