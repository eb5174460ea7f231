"""Evaluates a filter on whatever has attributes, with the three truth values of SQL.

Rules that hold here: None means unknown, and something is listed only when the answer is True. A
value is `plain`: times are nanoseconds, a Text is its words. A comparison with a missing scalar is
unknown; Text and KeywordList ask whether a word or element is there, so a missing one answers no.
"""

from collections.abc import Callable
from datetime import datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

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
from perdure.core.visibility.values import nanoseconds, words

MEMBERSHIP: Final = frozenset({ValueType.TEXT, ValueType.KEYWORD_LIST})
"""Types whose comparisons ask for membership and are never unknown."""

MEMBERSHIP_OPERATORS: Final = frozenset(
    {Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN}
)

ValueOf = Callable[[Attribute], SearchValue | None]
"""Finds the value of an attribute; None when it is missing."""

_ORDER: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.EQUAL: eq,
    Operator.NOT_EQUAL: ne,
    Operator.LESS: lt,
    Operator.LESS_EQUAL: le,
    Operator.GREATER: gt,
    Operator.GREATER_EQUAL: ge,
}
_NEGATED: Final = frozenset(
    {Operator.NOT_EQUAL, Operator.NOT_IN, Operator.NOT_BETWEEN, Operator.NOT_STARTS_WITH}
)


def plain(operand: SearchValue) -> SearchValue:
    """Returns a value as it is compared: times as nanoseconds."""
    return nanoseconds(operand) if isinstance(operand, datetime) else operand


def elements(where: Comparison) -> list[str]:
    """Returns what a comparison of a Text or KeywordList looks for: any of these, in order.

    Raises:
        ValueError: The operator is none that such attributes have.
    """
    if where.operator not in MEMBERSHIP_OPERATORS:
        raise ValueError(f"{where.operator.value} does not apply to {where.attribute.name}")
    texts = map(str, where.operands)
    if where.attribute.value_type is ValueType.TEXT:
        return sorted(frozenset().union(*map(words, texts)))
    return sorted(set(texts))


def matches(where: VisibilityFilter, value_of: ValueOf) -> bool:
    """Returns whether something is listed. Raises ValueError for an operator without meaning."""
    return _truth(where, value_of) is True


def _truth(where: VisibilityFilter, value_of: ValueOf) -> bool | None:
    match where:
        case Everything():
            return True
        case And(operands):
            return _all([_truth(operand, value_of) for operand in operands])
        case Or(operands):
            answer = _all([_not(_truth(operand, value_of)) for operand in operands])
            return _not(answer)
        case Not(operand):
            return _not(_truth(operand, value_of))
        case Comparison():
            return _comparison(where, value_of(where.attribute))


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def _all(answers: list[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def _comparison(where: Comparison, value: SearchValue | None) -> bool | None:
    match where.operator:
        case Operator.IS_NULL:
            return value is None
        case Operator.IS_NOT_NULL:
            return value is not None
    if where.attribute.value_type in MEMBERSHIP:
        held = isinstance(value, list | frozenset) and not frozenset(elements(where)).isdisjoint(
            value
        )
        return not held if where.operator in _NEGATED else held
    if value is None:
        return None
    return _scalar(where.operator, value, tuple(map(plain, where.operands)))


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
