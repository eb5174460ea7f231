"""Evaluates a visibility filter on a row.

Rules that hold here: the answers are those of the SQL that `persistence.visibility_sql` renders.
"""

from perdure.core.commit import SearchValue, VisibilityRow
from perdure.core.visibility import evaluation
from perdure.core.visibility.evaluation import plain
from perdure.core.visibility.query import Attribute, VisibilityFilter
from perdure.persistence.search_values import TAGS, tag_of
from perdure.persistence.visibility_sql import (
    COLUMNS,
    DURATION,
    MISSING_WHEN_EMPTY,
    MISSING_WHEN_ZERO,
)


def matches(where: VisibilityFilter, row: VisibilityRow) -> bool:
    """Returns whether a row is listed. Raises ValueError for an unknown column or operator."""
    return evaluation.matches(where, lambda attribute: value_of(attribute, row))


def value_of(attribute: Attribute, row: VisibilityRow) -> SearchValue | None:
    """Returns an attribute's value in a row. Raises ValueError for an unknown column."""
    column = attribute.column
    if column is None:
        value = row.search_values.get(attribute.name)
        if value is None or value == [] or tag_of(value) != TAGS[attribute.value_type]:
            return None
        return plain(value)
    if column == DURATION:
        return row.close_time - row.execution_time if row.close_time else None
    if column not in COLUMNS:
        raise ValueError(f"visibility has no column {column}")
    found: SearchValue = getattr(row, column)
    if not found and column in MISSING_WHEN_ZERO | MISSING_WHEN_EMPTY:
        return None
    return found
