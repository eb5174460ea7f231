"""Turns a visibility filter into the text and parameters of a WHERE clause.

Rules that hold here: operands are always parameters; column names come from a fixed table. The
meaning is the real server's: comparisons with a missing scalar attribute are unknown, as in SQL;
Text and KeywordList ask whether a word or element is there, so a missing attribute answers no.

The same filter can be rendered for the table of runs and for that of their counters, which has
few of its attributes.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from perdure.core.commit import SearchValue
from perdure.core.visibility.catalogue import NAMESPACE_DIVISION
from perdure.core.visibility.evaluation import MEMBERSHIP, elements, plain
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
from perdure.persistence.search_values import TAGS, member_name

COLUMNS = frozenset(
    {
        "run_id",
        "workflow_id",
        "workflow_type",
        "task_queue",
        "status",
        "start_time",
        "execution_time",
        "close_time",
        "history_length",
        "history_size_bytes",
        "state_transition_count",
        "parent_workflow_id",
        "parent_run_id",
        "root_workflow_id",
        "root_run_id",
    }
)
"""Columns of the visibility table that a filter may name."""

MISSING_WHEN_ZERO = frozenset(
    {"close_time", "history_length", "history_size_bytes", "state_transition_count"}
)
"""Columns that open runs do not have yet: stored as NULL instead of 0."""

MISSING_WHEN_EMPTY = frozenset(
    {"workflow_type", "task_queue"}
    | {"parent_workflow_id", "parent_run_id", "root_workflow_id", "root_run_id"}
)
"""Columns whose empty text means that the attribute is missing: stored as NULL."""

DURATION = "execution_duration"
"""The derived column of ExecutionDuration: close time less execution time."""

COUNTED = frozenset({"workflow_type", "task_queue", "status"})
"""Columns of the table of counters; the division of the namespace is one more."""

_INFIX = {
    Operator.EQUAL: "=",
    Operator.NOT_EQUAL: "<>",
    Operator.LESS: "<",
    Operator.LESS_EQUAL: "<=",
    Operator.GREATER: ">",
    Operator.GREATER_EQUAL: ">=",
}
_NEGATED = {Operator.NOT_EQUAL, Operator.NOT_IN}


class Sql(NamedTuple):
    """A piece of SQL with the parameters of its placeholders, in their order."""

    text: str
    parameters: tuple[Any, ...] = ()


_HOLE = re.compile(r"/\*(\w+)\*/")


def compose(template: str, pieces: Mapping[str, Sql]) -> Sql:
    """Returns a statement whose holes (a name as a comment) are filled with pieces."""
    parameters: list[Any] = []

    def fill(hole: re.Match[str]) -> str:
        piece = pieces[hole[1]]
        parameters.extend(piece.parameters)
        return piece.text

    return Sql(_HOLE.sub(fill, template), tuple(parameters))


def is_counted(attribute: Attribute) -> bool:
    """Tells whether the table of counters has an attribute."""
    return attribute.column in COUNTED or attribute == NAMESPACE_DIVISION


class WhereClause(ABC):
    """Renders one filter; `parameters` are in the order of the placeholders.

    A database's own subclass says how it reads a JSON member and asks for membership.

    Args:
        of_counts: Whether the filter is for the table of counters.
    """

    placeholder = "?"
    true = "TRUE"

    def __init__(self, *, of_counts: bool = False) -> None:
        self.parameters: list[object] = []
        self._of_counts = of_counts

    def sql(self, where: VisibilityFilter) -> Sql:
        """Returns the clause. Raises ValueError for an unknown column or operator."""
        text = self.render(where)
        return Sql(text, tuple(self.parameters))

    def render(self, where: VisibilityFilter) -> str:
        """Returns the clause's text. Raises ValueError for an unknown column or operator."""
        match where:
            case Everything():
                return self.true
            case And(operands):
                return self._joined(" AND ", operands)
            case Or(operands):
                return self._joined(" OR ", operands)
            case Not(operand):
                return f"(NOT {self.render(operand)})"
            case Comparison():
                return f"({self._comparison(where)})"

    def bind(self, value: object) -> str:
        """Adds a parameter and returns its placeholder."""
        self.parameters.append(value)
        return self.placeholder

    @abstractmethod
    def member(self, name: str, value_type: ValueType) -> str:
        """Returns the expression for a JSON member's value; NULL when it is missing."""

    @abstractmethod
    def has_element(self, name: str, elements: Sequence[SearchValue]) -> str:
        """Returns a never unknown condition: a JSON list holds one of the elements."""

    @abstractmethod
    def starts_with(self, attribute: Attribute, prefix: SearchValue) -> str:
        """Returns a condition: an attribute starts with a prefix, case counting."""

    def scalar(self, attribute: Attribute) -> str:
        """Returns the expression for an attribute's value; NULL when it is missing."""
        if self._of_counts:
            return _of_counts(attribute)
        if attribute.column is None:
            tag = TAGS[attribute.value_type]
            return self.member(member_name(attribute.name, tag), attribute.value_type)
        if attribute.column == DURATION:
            return "(close_time - execution_time)"
        if attribute.column not in COLUMNS:
            raise ValueError(f"visibility has no column {attribute.column}")
        return attribute.column

    def _joined(self, word: str, operands: tuple[VisibilityFilter, ...]) -> str:
        return f"({word.join(self.render(operand) for operand in operands)})"

    def _comparison(self, where: Comparison) -> str:
        attribute, operator = where.attribute, where.operator
        if operator is Operator.IS_NULL:
            return f"{self.scalar(attribute)} IS NULL"
        if operator is Operator.IS_NOT_NULL:
            return f"{self.scalar(attribute)} IS NOT NULL"
        if attribute.value_type in MEMBERSHIP:
            name = member_name(attribute.name, TAGS[attribute.value_type])
            held = self.has_element(name, elements(where))
            return f"NOT {held}" if operator in _NEGATED else held
        operands = tuple(plain(operand) for operand in where.operands)
        return self._ordering(attribute, operator, operands)

    def _ordering(
        self, attribute: Attribute, operator: Operator, operands: tuple[SearchValue, ...]
    ) -> str:
        match operator:
            case Operator.STARTS_WITH:
                return self.starts_with(attribute, operands[0])
            case Operator.NOT_STARTS_WITH:
                return f"NOT {self.starts_with(attribute, operands[0])}"
            case Operator.IN | Operator.NOT_IN:
                value = self.scalar(attribute)
                places = ", ".join(self.bind(operand) for operand in operands)
                return f"{value} {operator.value} ({places})"
            case Operator.BETWEEN | Operator.NOT_BETWEEN:
                value = self.scalar(attribute)
                low, high = (self.bind(operand) for operand in operands)
                return f"{value} {operator.value} {low} AND {high}"
            case _:
                return f"{self.scalar(attribute)} {_INFIX[operator]} {self.bind(operands[0])}"


def _of_counts(attribute: Attribute) -> str:
    if attribute == NAMESPACE_DIVISION:
        return "(CASE WHEN namespace_division <> '' THEN substr(namespace_division, 2) END)"
    if attribute.column not in COUNTED:
        raise ValueError(f"the counters have no {attribute.name}")
    is_text = attribute.column in MISSING_WHEN_EMPTY
    return f"NULLIF({attribute.column}, '')" if is_text else attribute.column
