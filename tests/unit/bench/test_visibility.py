"""The visibility benchmark: spread of values, queries of every shape, gates on the slowest."""

import pytest

from bench.visibility import SELECTIVITIES, SHAPES, Cell, Shape, VisibilityReport
from bench.visibility_rows import ATTRIBUTES, Spread, runs
from perdure.core.visibility.parser import parse_query
from perdure.persistence.memory.evaluation import matches

ROWS = 10_000


def _report(list_ms: float, count_ms: float) -> VisibilityReport:
    cells = [
        Cell("SQLite", shape.name, share, 1, 1.0, 1.0)
        for shape in SHAPES
        for share in SELECTIVITIES
    ]
    slow = Cell("SQLite", "Keyword =", 0.1, 1, list_ms, count_ms)
    return VisibilityReport(
        rows=ROWS,
        cells=[*cells, slow, Cell("SQLite", "", 1.0, ROWS, 1.0, 1.0)],
        loaded_s={"SQLite": 2.0},
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_matches_about_the_share_that_it_says(shape: Shape) -> None:
    spread = Spread(ROWS)
    rows = list(runs(spread, 0, ROWS))
    for share in (1e-3, 0.1, 0.9):
        query = shape.query(spread, share)
        if query is None:
            continue
        where = parse_query(query, ATTRIBUTES).visible
        found = sum(matches(where, row) for row in rows)
        if shape.name == "type in 1 % of the time" or " AND " in shape.name.removesuffix(" <"):
            assert found <= ROWS * share * 1.1 + 20
        else:
            assert found == pytest.approx(ROWS * share, rel=0.2, abs=20)


def test_a_gate_is_held_against_the_slowest() -> None:
    assert all(check.passed for check in _report(99.0, 999.0).checks())
    broken = [check.name for check in _report(101.0, 1_001.0).checks() if not check.passed]
    assert broken == [
        "ms, SQLite: list, slowest (Keyword = at 0.1)",
        "ms, SQLite: count, slowest (Keyword = at 0.1)",
    ]


def test_the_page_names_every_shape() -> None:
    text = _report(1.0, 1.0).to_markdown()
    assert all(f"| {shape.name}" in text for shape in SHAPES)
    assert "TaskQueue = (beside the gate)" in text
