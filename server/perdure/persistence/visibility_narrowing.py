"""Paths that take up other conditions: what an index tells besides, and what entries tell of a run.

Reading a run costs many times what an entry of an index does. So a path's source is given every
condition that can be answered without the run: others on the same column or attribute, times that
the index has because they are the listing's order, and values that a run has an entry of.
"""

from collections.abc import Iterable
from dataclasses import replace

from perdure.core.visibility.evaluation import MEMBERSHIP
from perdure.core.visibility.query import Comparison, Operator, VisibilityFilter
from perdure.persistence.visibility_paths import (
    ORDERED,
    Path,
    Paths,
    column_condition,
    shortened,
)
from perdure.persistence.visibility_sql import Sql, WhereClause

_KEYS = frozenset({"start_time", "close_time"})
"""Columns that stand in the listing's order."""

_HELD = frozenset({Operator.EQUAL, Operator.IN})


def narrowed(
    paths: Paths, namespace_id: str, path: Path, conditions: Iterable[VisibilityFilter]
) -> tuple[Path, tuple[VisibilityFilter, ...]]:
    """Returns a path with all that it can take up, and the conditions that are left."""
    clause = paths.clause()
    texts: list[str] = []
    asks_entries = False
    rest: list[VisibilityFilter] = []
    for condition in conditions:
        if condition is path.given:
            if not path.exact:
                rest.append(condition)
        elif (text := _of_index(paths, clause, path, condition)) is not None:
            texts.append(text)
        elif (text := _held(paths, clause, namespace_id, path, condition)) is not None:
            texts.append(text)
            asks_entries = True
        else:
            rest.append(condition)
    source = Sql(
        " AND ".join([path.source.text, *texts]), (*path.source.parameters, *clause.parameters)
    )
    taken = replace(path, source=source, probed=path.source, asks_entries=asks_entries)
    return taken, tuple(rest)


def _of_index(paths: Paths, clause: WhereClause, path: Path, where: VisibilityFilter) -> str | None:
    if not isinstance(where, Comparison):
        return None
    given, attribute = path.given.attribute, where.attribute
    if attribute.column is None:
        is_same = attribute == given and attribute.value_type not in MEMBERSHIP
        if not is_same or shortened(where) != where:
            return None
        return paths.value(clause, where)
    if attribute.column == given.column:
        return column_condition(where, clause.bind)
    if path.has_keys and attribute.column in _KEYS:
        # Behind one value, times are in order; behind several, another index would seem better.
        is_next = attribute.column == "close_time" and path.given.operator is Operator.EQUAL
        written = "{}" if is_next and given.column in ORDERED else paths.beside
        return column_condition(where, clause.bind, written)
    return None


def _held(
    paths: Paths, clause: WhereClause, namespace_id: str, path: Path, where: VisibilityFilter
) -> str | None:
    """A condition that looks for an entry of the run that a path has found."""
    if not isinstance(where, Comparison) or where.attribute.column is not None:
        return None
    if where.operator not in _HELD or not (path.has_keys or path.of_entries):
        return None
    return paths.held(clause, namespace_id, where, of_entries=path.of_entries)
