"""Renders visibility filters for PostgreSQL."""

from collections.abc import Sequence

from perdure.core.commit import SearchValue
from perdure.core.visibility.query import Attribute, ValueType, VisibilityFilter
from perdure.persistence.postgres.statements import STATEMENTS
from perdure.persistence.visibility_sql import WhereClause

_CASTS = {
    ValueType.INT: "bigint",
    ValueType.DOUBLE: "float8",
    ValueType.BOOL: "boolean",
    ValueType.DATETIME: "bigint",
}
_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SEPARATORS = r"[\x01-\x2f\x3a-\x60\x7b-\x7f]+"


class PostgresWhere(WhereClause):
    """A filter in PostgreSQL's dialect."""

    placeholder = "%s"

    def member(self, name: str, value_type: ValueType) -> str:
        """Returns the expression for a JSON member's value."""
        if value_type is ValueType.KEYWORD_LIST:
            return f"(search_values -> {self.bind(name)}::text)"
        text = f"(search_values ->> {self.bind(name)}::text)"
        cast = _CASTS.get(value_type)
        return f'({text} COLLATE "C")' if cast is None else f"{text}::{cast}"

    def has_element(self, name: str, elements: Sequence[SearchValue]) -> str:
        """Returns a condition: a JSON list holds one of the elements."""
        held = f"(search_values -> {self.bind(name)}::text)"
        return f"COALESCE({held} ?| {self.bind(list(elements))}::text[], FALSE)"

    def has_word(self, expression: str, words: Sequence[str]) -> str:
        """Returns a condition: a text holds one of the words."""
        lower = f"translate({expression}, '{_CAPITALS}', '{_CAPITALS.lower()}')"
        split = f"regexp_split_to_array({lower}, '{_SEPARATORS}')"
        return f"({split} && {self.bind(list(words))}::text[])"

    def starts_with(self, attribute: Attribute, prefix: SearchValue) -> str:
        """Returns a condition: an attribute starts with a prefix, case counting."""
        return f"starts_with({self.scalar(attribute)}, {self.bind(prefix)}::text)"


def filtered(name: str, where: VisibilityFilter) -> tuple[str, list[object]]:
    """Returns a statement with its filter filled in, and the filter's parameters."""
    clause = PostgresWhere()
    text = clause.render(where)
    return STATEMENTS[name].replace("/*filter*/", text), clause.parameters
