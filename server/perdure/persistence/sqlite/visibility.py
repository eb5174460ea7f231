"""Visibility in SQLite's dialect, and its plans carried out on a connection."""

import sqlite3
from collections.abc import Sequence
from typing import TypeVar

from perdure.core.commit import SearchValue
from perdure.core.visibility.query import Attribute, Comparison, ValueType
from perdure.persistence.sqlite.database import STATEMENTS
from perdure.persistence.visibility_costs import Costs
from perdure.persistence.visibility_paths import Paths, condition
from perdure.persistence.visibility_plans import Steps
from perdure.persistence.visibility_reading import Reader
from perdure.persistence.visibility_sql import WhereClause

T = TypeVar("T")


class SqliteWhere(WhereClause):
    """A filter in SQLite's dialect."""

    def member(self, name: str, value_type: ValueType) -> str:
        """Returns the expression for a JSON member's value."""
        return f"json_extract(search_values, {self.bind(_path(name))})"

    def has_element(self, name: str, elements: Sequence[SearchValue]) -> str:
        """Returns a condition: a JSON list holds one of the elements."""
        path = self.bind(_path(name))
        places = ", ".join(self.bind(element) for element in elements)
        return (
            "EXISTS (SELECT 1 FROM json_each(search_values, "  # noqa: S608 - placeholders only
            f"{path}) WHERE value IN ({places}))"
        )

    def starts_with(self, attribute: Attribute, prefix: SearchValue) -> str:
        """Returns a condition: an attribute starts with a prefix, case counting."""
        value = self.scalar(attribute)
        first, second = self.bind(len(str(prefix))), self.bind(prefix)
        return f"(substr({value}, 1, {first}) = {second})"


class SqlitePaths(Paths):
    """Ways by index, each named: SQLite has no statistics to choose by."""

    placeholder = SqliteWhere.placeholder
    run_key = "number"
    beside = "{}"
    costs = Costs(run=3.0, step=1.2, scanned=1.4, held=1.1, sorted=0.2, passed=0.08)

    def clause(self, *, of_counts: bool = False) -> WhereClause:
        """Returns an empty clause."""
        return SqliteWhere(of_counts=of_counts)

    def runs(self, index: str) -> str:
        """Returns the table of runs, read by an index."""
        return f"visibility INDEXED BY {index}" if index else "visibility NOT INDEXED"

    def value(self, clause: WhereClause, where: Comparison) -> str | None:
        """Returns a condition on the entries of an attribute."""
        return condition(where, "value", clause.bind)

    def is_set(self, attribute: Attribute) -> str:
        """Returns the condition that all entries of an attribute meet."""
        return "TRUE"


READER = Reader(STATEMENTS, SqlitePaths())


def carry_out(connection: sqlite3.Connection, steps: Steps[T], /) -> T:
    """Runs the statements of a plan and returns what it comes to."""
    try:
        statement = next(steps)
        while True:
            rows = connection.execute(statement.text, statement.parameters).fetchall()
            statement = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


def _path(name: str) -> str:
    return f'$."{name}"'
