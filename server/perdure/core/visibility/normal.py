"""The normal form of filters: no negation, and no AND within an AND or OR within an OR.

Every operator has its contrary, of which it holds that the negation of a comparison and the
contrary comparison are true, false and unknown together. So negations vanish, and what planners of
stores look for (conditions that must all hold) stands at the top.
"""

from typing import Final

from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility.query import (
    And,
    Comparison,
    Everything,
    Not,
    Operator,
    Or,
    VisibilityFilter,
)

_CONTRARY_PAIRS: Final = (
    (Operator.EQUAL, Operator.NOT_EQUAL),
    (Operator.LESS, Operator.GREATER_EQUAL),
    (Operator.GREATER, Operator.LESS_EQUAL),
    (Operator.IN, Operator.NOT_IN),
    (Operator.BETWEEN, Operator.NOT_BETWEEN),
    (Operator.STARTS_WITH, Operator.NOT_STARTS_WITH),
    (Operator.IS_NULL, Operator.IS_NOT_NULL),
)
_CONTRARY: Final = dict(_CONTRARY_PAIRS) | {second: first for first, second in _CONTRARY_PAIRS}


def normalised(where: VisibilityFilter, max_alternations: int) -> VisibilityFilter:
    """Returns the normal form of a filter.

    Args:
        where: A filter whose depth is bounded.
        max_alternations: How many ANDs and ORs may stand within each other, in turn.

    Raises:
        InvalidArgumentError: There are more.
    """
    normal = _normal(where, negated=False)
    if _depth(normal) > max_alternations:
        raise InvalidArgumentError(
            f"invalid query: AND and OR alternate more than {max_alternations} times"
        )
    return normal


def contrary(where: Comparison) -> Comparison:
    """Returns the comparison that holds where this one does not, and is unknown with it."""
    return Comparison(where.attribute, _CONTRARY[where.operator], where.operands)


def _normal(where: VisibilityFilter, *, negated: bool) -> VisibilityFilter:
    match where:
        case Not(operand):
            return _normal(operand, negated=not negated)
        case And(operands) | Or(operands):
            kind = And if isinstance(where, And) != negated else Or
            parts: list[VisibilityFilter] = []
            for operand in operands:
                part = _normal(operand, negated=negated)
                parts += part.operands if isinstance(part, kind) else (part,)
            return kind(tuple(parts))
        case Comparison() if negated:
            return contrary(where)
        case Everything():
            assert not negated, "nothing negates the absence of a filter"
            return where
        case _:
            return where


def _depth(where: VisibilityFilter) -> int:
    if isinstance(where, And | Or):
        return 1 + max(map(_depth, where.operands))
    return 0
