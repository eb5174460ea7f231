"""From the text of a visibility query to the typed tree that stores understand.

Which attributes a query may name is an argument: `workflows` says it of a namespace's workflows,
and whatever else is listed (schedules, activities) has an `AttributeSet` of its own. Runs that
belong to a namespace division are hidden from whoever does not name that attribute.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from perdure.core.visibility.catalogue import NAMESPACE_DIVISION, AttributeSet, workflows
from perdure.core.visibility.checking import Checker, unsupported
from perdure.core.visibility.limits import QueryLimits
from perdure.core.visibility.normal import normalised
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Everything,
    Operator,
    ValueType,
    VisibilityFilter,
)
from perdure.core.visibility.syntax import parse_syntax

_USUAL_LIMITS = QueryLimits()


@dataclass(slots=True, frozen=True)
class ParsedQuery:
    """A query with its types checked.

    Attributes:
        where: The condition, in normal form.
        group_by: An attribute that Count groups by.
        names_division: Whether the condition says which divisions of the namespace it means.
    """

    where: VisibilityFilter
    group_by: Attribute | None = None
    names_division: bool = False

    @property
    def visible(self) -> VisibilityFilter:
        """What stores shall filter workflows by."""
        return self.where if self.names_division else outside_divisions(self.where)


def outside_divisions(where: VisibilityFilter) -> VisibilityFilter:
    """Returns a filter that also leaves out the runs that belong to a division."""
    ordinary = Comparison(NAMESPACE_DIVISION, Operator.IS_NULL)
    match where:
        case Everything():
            return ordinary
        case And(operands):
            return And((*operands, ordinary))
        case _:
            return And((where, ordinary))


def parse_query(
    text: str, custom: Mapping[str, ValueType], limits: QueryLimits = _USUAL_LIMITS
) -> ParsedQuery:
    """Parses a query about workflows.

    Args:
        text: What the client asks.
        custom: The types of the namespace's own search attributes.
        limits: How large it may be.

    Raises:
        InvalidArgumentError: The query makes no sense; the text says why.
    """
    return parse(text, workflows(custom), limits)


def parse(text: str, attributes: AttributeSet, limits: QueryLimits = _USUAL_LIMITS) -> ParsedQuery:
    """Parses a query about whatever has the attributes. Raises as `parse_query`."""
    if not text or text.isspace():
        return ParsedQuery(Everything())
    tree = parse_syntax(text, limits)
    if tree.has_limit:
        raise unsupported("'LIMIT' clause")
    checker = Checker(attributes)
    where: VisibilityFilter = Everything()
    if tree.condition is not None:
        where = normalised(checker.condition(tree.condition), limits.max_alternations)
    group_by = checker.group_by(tree)
    checker.refuse_clauses(tree)
    return ParsedQuery(where, group_by, checker.names_division)
