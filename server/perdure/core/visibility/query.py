"""A visibility query as a typed tree: what List and Count filter by, free of any SQL dialect."""

from dataclasses import dataclass, field
from enum import Enum

from perdure.core.commit import SearchValue


class Operator(Enum):
    """How a comparison holds between an attribute and its operands."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="
    IN = "IN"
    NOT_IN = "NOT IN"
    BETWEEN = "BETWEEN"
    NOT_BETWEEN = "NOT BETWEEN"
    STARTS_WITH = "STARTS_WITH"
    NOT_STARTS_WITH = "NOT STARTS_WITH"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"


class ValueType(Enum):
    """The type of a search attribute. Values are those of IndexedValueType."""

    TEXT = 1
    KEYWORD = 2
    INT = 3
    DOUBLE = 4
    BOOL = 5
    DATETIME = 6
    KEYWORD_LIST = 7


@dataclass(slots=True, frozen=True)
class Attribute:
    """A search attribute: a system one is a field of VisibilityRow, named `column`.

    `alias` is what a query calls it, where that is another name than its own.
    """

    name: str
    value_type: ValueType
    column: str | None = None
    alias: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """How messages call it."""
        return self.alias or self.name


@dataclass(slots=True, frozen=True)
class Comparison:
    """One attribute against its operands (none for IS NULL, two for BETWEEN, many for IN).

    Operands of time columns are nanoseconds since the Unix epoch (int), of durations nanoseconds,
    of ExecutionStatus the enum's number.
    """

    attribute: Attribute
    operator: Operator
    operands: tuple[SearchValue, ...] = ()


@dataclass(slots=True, frozen=True)
class And:
    """All operands hold."""

    operands: tuple["VisibilityFilter", ...]


@dataclass(slots=True, frozen=True)
class Or:
    """At least one operand holds."""

    operands: tuple["VisibilityFilter", ...]


@dataclass(slots=True, frozen=True)
class Not:
    """The operand does not hold."""

    operand: "VisibilityFilter"


@dataclass(slots=True, frozen=True)
class Everything:
    """No filter."""


VisibilityFilter = Comparison | And | Or | Not | Everything
