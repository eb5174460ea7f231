"""Renders visibility filters for SQLite and runs listings on a connection."""

import sqlite3
from collections.abc import Sequence

from perdure.core.commit import SearchValue, VisibilityRow
from perdure.core.visibility.query import Attribute, ValueType, VisibilityFilter
from perdure.persistence.ports import VisibilityCursor
from perdure.persistence.search_values import tokens
from perdure.persistence.sqlite.database import STATEMENTS
from perdure.persistence.visibility_rows import cursor_columns, from_columns
from perdure.persistence.visibility_sql import WhereClause

_HAS_WORD = "perdure_has_word"


def register_functions(connection: sqlite3.Connection) -> None:
    """Gives a connection the functions that filters call."""
    connection.create_function(_HAS_WORD, 2, _has_word, deterministic=True)


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

    def has_word(self, expression: str, words: Sequence[str]) -> str:
        """Returns a condition: a text holds one of the words."""
        return f"{_HAS_WORD}({expression}, {self.bind(' '.join(words))})"

    def starts_with(self, attribute: Attribute, prefix: SearchValue) -> str:
        """Returns a condition: an attribute starts with a prefix, case counting."""
        value = self.scalar(attribute)
        first, second = self.bind(len(str(prefix))), self.bind(prefix)
        return f"(substr({value}, 1, {first}) = {second})"


def list_workflows(
    connection: sqlite3.Connection,
    namespace_id: str,
    where: VisibilityFilter,
    after: VisibilityCursor | None,
    limit: int,
) -> list[VisibilityRow]:
    """Returns runs after a key, newest first."""
    first = () if after is None else cursor_columns(after)
    name = "list_all_workflows" if after is None else "list_workflows"
    sql, parameters = _filtered(name, where)
    rows = connection.execute(sql, (namespace_id, *first, *parameters, limit))
    return [from_columns(row) for row in rows]


def count_workflows(
    connection: sqlite3.Connection, namespace_id: str, where: VisibilityFilter
) -> int:
    """Returns the number of runs that match."""
    sql, parameters = _filtered("count_workflows", where)
    (count,) = connection.execute(sql, (namespace_id, *parameters)).fetchone()
    return int(count)


def count_workflows_by_status(
    connection: sqlite3.Connection, namespace_id: str, where: VisibilityFilter
) -> dict[int, int]:
    """Returns the number of runs that match, by execution status."""
    sql, parameters = _filtered("count_workflows_by_status", where)
    return dict(connection.execute(sql, (namespace_id, *parameters)).fetchall())


def _filtered(name: str, where: VisibilityFilter) -> tuple[str, list[object]]:
    clause = SqliteWhere()
    text = clause.render(where)
    return STATEMENTS[name].replace("/*filter*/", text), clause.parameters


def _path(name: str) -> str:
    return f'$."{name}"'


def _has_word(text: str | None, words: str) -> bool | None:
    return None if text is None else not tokens(text).isdisjoint(words.split())
