"""Ranges of times, and conditions that hold for most runs: what is outside is counted instead.

An index counts what meets a condition one by one. The times of the first and the last run tell
about how much of all is in a range of times; that may be wrong, and costs time then, but never a
wrong count.
"""

from collections.abc import Sequence
from typing import Final

from perdure.core.visibility.evaluation import plain
from perdure.core.visibility.query import Comparison, Operator, VisibilityFilter
from perdure.core.visibility.values import INT64_MAX, INT64_MIN
from perdure.persistence.visibility_rows import STILL_OPEN
from perdure.persistence.visibility_sql import Sql

TIMES: Final = {
    "start_time": ("start_time", Sql("TRUE")),
    "close_time": ("close_order", Sql(f"close_order < {STILL_OPEN}")),
}
"""By column, what its index has, and which runs have it at all."""

HALF: Final = 0.5

_CONTRARY: Final = {
    Operator.LESS: Operator.GREATER_EQUAL,
    Operator.LESS_EQUAL: Operator.GREATER,
    Operator.GREATER: Operator.LESS_EQUAL,
    Operator.GREATER_EQUAL: Operator.LESS,
}


_RANGES: Final = frozenset({*_CONTRARY, Operator.BETWEEN})


def joined(conditions: Sequence[VisibilityFilter]) -> tuple[VisibilityFilter, ...]:
    """Returns the same conditions with one range of each time: databases look at one bound only."""
    kept = list(conditions)
    for column in TIMES:
        ranges = [
            each
            for each in kept
            if isinstance(each, Comparison)
            and each.attribute.column == column
            and each.operator in _RANGES
        ]
        if len(ranges) > 1:
            kept = [each for each in kept if each not in ranges]
            kept.append(_meeting(ranges))
    return tuple(kept)


def _meeting(ranges: Sequence[Comparison]) -> Comparison:
    low, high = INT64_MIN, INT64_MAX
    for each in ranges:
        match each.operator:
            case Operator.LESS:
                high = min(high, _number(each, 0) - 1)
            case Operator.LESS_EQUAL:
                high = min(high, _number(each, 0))
            case Operator.GREATER:
                low = max(low, _number(each, 0) + 1)
            case Operator.GREATER_EQUAL:
                low = max(low, _number(each, 0))
            case _:
                low, high = max(low, _number(each, 0)), min(high, _number(each, 1))
    if low > high:
        low, high = INT64_MAX, INT64_MIN
    return Comparison(ranges[0].attribute, Operator.BETWEEN, (low, high))


def outside(where: Comparison) -> tuple[Comparison, ...]:
    """Returns conditions of which one holds wherever the given one does not.

    There are none for what is neither a range of times nor a status or type.
    """
    column = where.attribute.column
    if column in TIMES:
        others = _outside_range(where)
        if others and column == "close_time":
            return (*others, Comparison(where.attribute, Operator.IS_NULL))
        return others
    if where.operator is not Operator.EQUAL:
        return ()
    around = (
        Comparison(where.attribute, Operator.LESS, where.operands),
        Comparison(where.attribute, Operator.GREATER, where.operands),
    )
    match column:
        case "status":
            return around
        case "workflow_type":
            return (*around, Comparison(where.attribute, Operator.IS_NULL))
        case _:
            return ()


def _outside_range(where: Comparison) -> tuple[Comparison, ...]:
    if where.operator is Operator.BETWEEN:
        low, high = where.operands
        if not _number(where, 0) <= _number(where, 1):
            return ()
        return (
            Comparison(where.attribute, Operator.LESS, (low,)),
            Comparison(where.attribute, Operator.GREATER, (high,)),
        )
    if where.operator in _CONTRARY:
        return (Comparison(where.attribute, _CONTRARY[where.operator], where.operands),)
    return ()


def share(where: Comparison, first: int, last: int) -> float:
    """Returns about which share of runs a range holds, if times are spread evenly from first on."""
    match where.operator:
        case Operator.BETWEEN:
            low, high = _number(where, 0), _number(where, 1)
        case Operator.LESS | Operator.LESS_EQUAL:
            low, high = first, _number(where, 0)
        case _:
            low, high = _number(where, 0), last
    return (min(high, last) - max(low, first)) / max(1, last - first)


def _number(where: Comparison, position: int) -> int:
    operand = plain(where.operands[position])
    assert isinstance(operand, int), operand
    return operand
