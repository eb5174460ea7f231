"""Visibility in PostgreSQL's dialect."""

from collections.abc import Sequence
from functools import partial

from perdure.core.commit import SearchValue
from perdure.core.visibility.query import Attribute, Comparison, ValueType
from perdure.persistence.postgres.statements import STATEMENTS
from perdure.persistence.visibility_costs import Costs
from perdure.persistence.visibility_paths import Paths, condition
from perdure.persistence.visibility_reading import Reader
from perdure.persistence.visibility_sql import WhereClause

_CASTS = {
    ValueType.INT: "bigint",
    ValueType.DOUBLE: "float8",
    ValueType.BOOL: "boolean",
    ValueType.DATETIME: "bigint",
}


class PostgresWhere(WhereClause):
    """A filter in PostgreSQL's dialect."""

    placeholder = "%s"

    def member(self, name: str, value_type: ValueType) -> str:
        """Returns the expression for a JSON member's value."""
        if value_type in {ValueType.KEYWORD_LIST, ValueType.TEXT}:
            return f"(search_values -> {self.bind(name)}::text)"
        text = f"(search_values ->> {self.bind(name)}::text)"
        cast = _CASTS.get(value_type)
        return f'({text} COLLATE "C")' if cast is None else f"{text}::{cast}"

    def has_element(self, name: str, elements: Sequence[SearchValue]) -> str:
        """Returns a condition: a JSON list holds one of the elements."""
        held = f"(search_values -> {self.bind(name)}::text)"
        return f"COALESCE({held} ?| {self.bind(list(elements))}::text[], FALSE)"

    def starts_with(self, attribute: Attribute, prefix: SearchValue) -> str:
        """Returns a condition: an attribute starts with a prefix, case counting."""
        return f"starts_with({self.scalar(attribute)}, {self.bind(prefix)}::text)"


class PostgresPaths(Paths):
    """Ways by index. The planner finds the index: the condition on it stands alone."""

    placeholder = PostgresWhere.placeholder
    run_key = "run_id"
    beside = "({} + 0)"
    costs = Costs(run=4.0, step=0.5, scanned=0.55, held=4.0, sorted=0.2, passed=0.15)

    def clause(self, *, of_counts: bool = False) -> WhereClause:
        """Returns an empty clause."""
        return PostgresWhere(of_counts=of_counts)

    def runs(self, index: str) -> str:
        """Returns the table of runs."""
        return "visibility"

    def value(self, clause: WhereClause, where: Comparison) -> str | None:
        """Returns a condition on the entries of an attribute: its words, or its numbers."""
        if where.attribute.value_type in _CASTS:
            return condition(where, "number", partial(_numeric, clause))
        return condition(where, "word", clause.bind)

    def is_set(self, attribute: Attribute) -> str:
        """Returns the condition that all entries of an attribute meet; indexes go by it."""
        return f"{'number' if attribute.value_type in _CASTS else 'word'} IS NOT NULL"


READER = Reader(STATEMENTS, PostgresPaths())


def _numeric(clause: WhereClause, operand: object) -> str:
    # As text, which is exact; a number in JSON and in an entry comes from the same digits.
    text = str(int(operand)) if isinstance(operand, bool) else repr(operand)
    return f"{clause.bind(text)}::text::numeric"
