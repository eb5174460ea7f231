"""Gives a query's tree its meaning: every name an attribute, every operand a value of its type.

Rules that hold here: every operator is one that the attribute's type has; whatever else parses is
refused in the real server's words.
"""

from collections.abc import Mapping
from typing import Final

from temporalio.api.enums.v1.workflow_pb2 import WorkflowExecutionStatus

from perdure.core.commit import SearchValue
from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility.catalogue import (
    DURATION,
    NAMESPACE_DIVISION,
    STATUS,
    TYPE_NAMES,
    AttributeSet,
)
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Not,
    Operator,
    Or,
    ValueType,
    VisibilityFilter,
)
from perdure.core.visibility.syntax import (
    Boolean,
    Column,
    Junction,
    Literal,
    Negation,
    Node,
    Parenthesis,
    Predicate,
    Query,
    Unsupported,
)
from perdure.core.visibility.values import (
    INT64_MAX,
    INT64_MIN,
    clamped,
    go_float,
    parse_datetime,
    parse_duration,
    storable,
)

_OPERATORS: Final = {operator.value: operator for operator in Operator} | {"<>": Operator.NOT_EQUAL}
_EQUALITY: Final = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_MEMBERSHIP: Final = _EQUALITY | {Operator.IN, Operator.NOT_IN}
_ORDER: Final = _MEMBERSHIP | {
    Operator.LESS,
    Operator.LESS_EQUAL,
    Operator.GREATER,
    Operator.GREATER_EQUAL,
}
_PREFIX: Final = _ORDER | {Operator.STARTS_WITH, Operator.NOT_STARTS_WITH}
_SUPPORTED: Final[Mapping[ValueType, frozenset[Operator]]] = {
    ValueType.TEXT: _EQUALITY,
    ValueType.KEYWORD: _PREFIX,
    ValueType.INT: _ORDER,
    ValueType.DOUBLE: _ORDER,
    ValueType.BOOL: _ORDER,
    ValueType.DATETIME: _ORDER,
    ValueType.KEYWORD_LIST: _MEMBERSHIP,
}
_WITHOUT_RANGES: Final = frozenset({ValueType.TEXT, ValueType.BOOL, ValueType.KEYWORD_LIST})
_STRINGS: Final = frozenset({ValueType.TEXT, ValueType.KEYWORD, ValueType.KEYWORD_LIST})
_INT64_DIGITS: Final = len(str(INT64_MAX))
_STATUS_PREFIX: Final = "WORKFLOW_EXECUTION_STATUS_"


def _status_names() -> dict[str, int]:
    names: dict[str, int] = {}
    for name, number in WorkflowExecutionStatus.items():
        names[name] = number
        words = name.removeprefix(_STATUS_PREFIX).split("_")
        names["".join(word.capitalize() for word in words)] = number
    return names


_STATUSES: Final = _status_names()
STATUS_NAMES: Final = {
    number: name for name, number in _STATUSES.items() if not name.startswith(_STATUS_PREFIX)
}
"""How queries and counts spell an execution status, by its number."""


class Checker:
    """Checks a tree against the attributes that it may name."""

    def __init__(self, attributes: AttributeSet) -> None:
        self._attributes = attributes
        self.names_division = False

    def condition(self, node: Node) -> VisibilityFilter:
        """Returns what a tree means; the grammar bounds how deep it is."""
        match node:
            case Parenthesis(content):
                return self.condition(content)
            case Negation(operand):
                return Not(self.condition(operand))
            case Junction(is_and, operands):
                converted = tuple(self.condition(operand) for operand in operands)
                return And(converted) if is_and else Or(converted)
            case Predicate():
                return self._predicate(node)
            case Column():
                raise _invalid("incomplete expression")
            case _:
                raise unsupported(f"expression of type {_kind(node)}")

    def group_by(self, tree: Query) -> Attribute | None:
        """Returns what Count groups by, if anything."""
        if not tree.group_by:
            return None
        if len(tree.group_by) > 1:
            raise unsupported("'GROUP BY' clause supports only a single field")
        attribute = self._attribute(tree.group_by[0])
        if attribute not in self._attributes.groupable:
            raise unsupported(
                f"'GROUP BY' clause is not supported for search attribute {attribute.label}"
            )
        return attribute

    def refuse_clauses(self, tree: Query) -> None:
        """Refuses the clauses that the grammar has and nothing supports."""
        if tree.order_by:
            self._attribute(tree.order_by[0])
            raise unsupported("'ORDER BY' clause")

    def _attribute(self, node: Node) -> Attribute:
        if not isinstance(node, Column):
            raise _invalid(f"must be a column name but was {_kind(node)}")
        attribute = self._attributes.find(node.name)
        if attribute is None:
            raise InvalidArgumentError(f"invalid query: invalid search attribute: {node.name}")
        self.names_division |= attribute == NAMESPACE_DIVISION
        return attribute

    def _predicate(self, node: Predicate) -> Comparison:
        attribute = self._attribute(node.left)
        operator = _OPERATORS.get(node.operator)
        if operator in (Operator.IS_NULL, Operator.IS_NOT_NULL):
            return Comparison(attribute, operator)
        if node.operator.startswith("IS "):
            raise _invalid("'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'")
        if operator in (Operator.BETWEEN, Operator.NOT_BETWEEN):
            if attribute.value_type in _WITHOUT_RANGES:
                raise _invalid(
                    f"cannot do range condition on search attribute '{attribute.label}'"
                    f" of type {TYPE_NAMES[attribute.value_type]}"
                )
            return Comparison(attribute, operator, _operands(attribute, node))
        operands = _operands(attribute, node)
        if operator not in _supported(attribute):
            raise unsupported(
                f"operator '{node.operator}' not supported for"
                f" {TYPE_NAMES[attribute.value_type]} type search attribute '{attribute.label}'"
            )
        return Comparison(attribute, operator, operands)


def _supported(attribute: Attribute) -> frozenset[Operator]:
    # A status is compared by its number, which has no prefix.
    return _ORDER if attribute == STATUS else _SUPPORTED[attribute.value_type]


def _operands(attribute: Attribute, node: Predicate) -> tuple[SearchValue, ...]:
    return tuple(_operand(attribute, _value(operand)) for operand in node.right)


def _value(node: Node) -> str | int | float | bool:
    match node:
        case Literal(text, True):
            return text
        case Literal(text, False):
            return _number(text)
        case Boolean(value):
            return value
        case Column(name):
            raise unsupported(
                "column name on the right side of comparison expression"
                f' (did you forget to quote "{name}"?)'
            )
        case Unsupported("*sqlparser.FuncExpr"):
            raise unsupported("nested func")
        case Unsupported("*sqlparser.UnaryExpr", text):
            raise _invalid(f'unary operator not supported in "{text}"')
        case _:
            raise _invalid(f"unexpected value type {_kind(node)}")


def _number(text: str) -> int | float:
    try:
        number = float(text)
    except ValueError:
        number = float("inf")
    if abs(number) == float("inf"):
        raise _invalid(f'unable to parse value "{text}"')
    # Of very many digits most are zeros before the number: Python refuses to read so many.
    digits = text.lstrip("+-").lstrip("0") or "0"
    if digits.isdecimal() and len(digits) <= _INT64_DIGITS:
        whole = -int(digits) if text.startswith("-") else int(digits)
        return whole if INT64_MIN <= whole <= INT64_MAX else number
    return number


def _operand(attribute: Attribute, value: str | float | bool) -> SearchValue:
    if attribute == STATUS:
        return _status(attribute, value)
    if attribute == DURATION:
        return _duration(attribute, value)
    match attribute.value_type, value:
        case (ValueType.BOOL, bool()):
            return value
        case (_, bool()):
            raise _wrong_type(attribute, value)
        case (ValueType.DATETIME, str()):
            return _datetime(value)
        case (ValueType.DATETIME, int()) | (ValueType.INT, int() | float()):
            return value
        case (ValueType.DOUBLE, int() | float()):
            return float(value)
        case (value_type, str()) if value_type in _STRINGS:
            return storable(value)
        case _:
            raise _wrong_type(attribute, value)


def _status(attribute: Attribute, value: str | float | bool) -> int:
    match value:
        case bool():
            raise _wrong_type(attribute, value)
        case str() if value in _STATUSES:
            return _STATUSES[value]
        case str():
            raise _invalid(f"invalid ExecutionStatus value '{value}'")
        case int() if value in STATUS_NAMES:
            return value
        case int():
            raise _invalid(f"invalid ExecutionStatus value {value}")
        case _:
            raise _float_refused(attribute)


def _duration(attribute: Attribute, value: str | float | bool) -> int:
    match value:
        case bool():
            raise _wrong_type(attribute, value)
        case int():
            return value
        case float():
            raise _float_refused(attribute)
    if (nanoseconds := parse_duration(value)) is None:
        raise _invalid(f"invalid duration value for search attribute {attribute.name}: {value}")
    return nanoseconds


def _datetime(text: str) -> int:
    if (nanoseconds := parse_datetime(text)) is None:
        raise _invalid(f"unable to parse datetime '{text}'")
    return clamped(nanoseconds)


def _float_refused(attribute: Attribute) -> InvalidArgumentError:
    return _invalid(f"unexpected value type float64 for search attribute {attribute.name}")


def _wrong_type(attribute: Attribute, value: str | float | bool) -> InvalidArgumentError:
    match value:
        case bool():
            shown = f"{str(value).lower()} (type: bool)"
        case str():
            shown = f"{_quoted(value)} (type: string)"
        case int():
            shown = f"{value} (type: int64)"
        case _:
            shown = f"{go_float(value)} (type: float64)"
    return _invalid(
        f"invalid value type for search attribute {attribute.label} of type"
        f" {TYPE_NAMES[attribute.value_type]}: {shown}"
    )


def _quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return f'"{"".join(escapes.get(character, character) for character in text)}"'


def _kind(node: Node) -> str:
    match node:
        case Unsupported(kind):
            return kind
        case Literal():
            return "*sqlparser.SQLVal"
        case Boolean():
            return "sqlparser.BoolVal"
        case Column():
            return "*sqlparser.ColName"
        case Parenthesis():
            return "*sqlparser.ParenExpr"
        case Negation():
            return "*sqlparser.NotExpr"
        case Junction(is_and):
            return "*sqlparser.AndExpr" if is_and else "*sqlparser.OrExpr"
        case Predicate():
            return "*sqlparser.ComparisonExpr"


def _invalid(text: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"invalid query: invalid expression: {text}")


def unsupported(text: str) -> InvalidArgumentError:
    """Returns the error of what parses and is not supported."""
    return InvalidArgumentError(f"invalid query: operation is not supported: {text}")
