"""Evaluates a visibility filter on a row, with the three truth values of SQL.

Rules that hold here: the answers are those of the SQL that `persistence.visibility_sql` renders;
None means unknown, and a row is listed only when the answer is True.
"""

from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Any

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
from perdure.persistence.search_values import TAGS, tag_of, tokens
from perdure.persistence.visibility_sql import (
    COLUMNS,
    DURATION,
    MEMBERSHIP,
    MISSING_WHEN_EMPTY,
    MISSING_WHEN_ZERO,
    plain,
)

_ORDER: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: eq,
    Operator.NOT_EQUAL: ne,
    Operator.LESS: lt,
    Operator.LESS_EQUAL: le,
    Operator.GREATER: gt,
    Operator.GREATER_EQUAL: ge,
}
_NEGATED = {
    Operator.NOT_EQUAL,
    Operator.NOT_IN,
    Operator.NOT_BETWEEN,
    Operator.NOT_STARTS_WITH,
}


def matches(where: VisibilityFilter, row: VisibilityRow) -> bool:
    """Returns whether a row is listed. Raises ValueError for an unknown column or operator."""
    return _truth(where, row) is True


def _truth(where: VisibilityFilter, row: VisibilityRow) -> bool | None:
    match where:
        case Everything():
            return True
        case And(operands):
            return _all([_truth(operand, row) for operand in operands])
        case Or(operands):
            return _not(_all([_not(_truth(operand, row)) for operand in operands]))
        case Not(operand):
            return _not(_truth(operand, row))
        case Comparison():
            return _compare(where, row)


def _not(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _all(truths: list[bool | None]) -> bool | None:
    if False in truths:
        return False
    return None if None in truths else True


def _compare(where: Comparison, row: VisibilityRow) -> bool | None:
    value = _value(where.attribute, row)
    operands = tuple(plain(operand) for operand in where.operands)
    if where.operator is Operator.IS_NULL:
        return value is None
    if where.operator is Operator.IS_NOT_NULL:
        return value is not None
    if where.attribute.value_type in MEMBERSHIP:
        held = _held(where, value, operands)
        return not held if where.operator in _NEGATED else held
    if value is None:
        return None
    return _scalar(where.operator, value, operands)


def _held(where: Comparison, value: SearchValue | None, operands: tuple[SearchValue, ...]) -> bool:
    if where.operator not in {Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN}:
        raise ValueError(f"{where.operator.value} does not apply to {where.attribute.name}")
    if where.attribute.value_type is ValueType.KEYWORD_LIST:
        return isinstance(value, list) and any(operand in value for operand in operands)
    words = tokens(value) if isinstance(value, str) else set()
    return any(not words.isdisjoint(tokens(str(operand))) for operand in operands)


def _scalar(operator: Operator, value: Any, operands: tuple[Any, ...]) -> bool:
    match operator:
        case Operator.IN | Operator.NOT_IN:
            held = value in operands
        case Operator.BETWEEN | Operator.NOT_BETWEEN:
            low, high = operands
            held = low <= value <= high
        case Operator.STARTS_WITH | Operator.NOT_STARTS_WITH:
            held = value.startswith(operands[0])
        case _:
            return _ORDER[operator](value, operands[0])
    return not held if operator in _NEGATED else held


def _value(attribute: Attribute, row: VisibilityRow) -> SearchValue | None:
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
