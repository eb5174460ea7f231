"""Namespaces and documents on a connection: compare-and-set by version."""

import sqlite3

from perdure.persistence.ports import NamespaceRow
from perdure.persistence.sqlite.database import STATEMENTS


def create_namespace(connection: sqlite3.Connection, row: NamespaceRow) -> bool:
    """Creates a namespace; False when its name or id is taken."""
    return connection.execute(STATEMENTS["create_namespace"], row).rowcount == 1


def update_namespace(connection: sqlite3.Connection, row: NamespaceRow) -> bool:
    """Replaces version `row.version - 1`; False when that is not the stored version."""
    parameters = (row.name, row.version, row.data, row.id, row.version - 1)
    return connection.execute(STATEMENTS["update_namespace"], parameters).rowcount == 1


def delete_namespace(connection: sqlite3.Connection, namespace_id: str, version: int) -> bool:
    """Deletes a namespace; False when it does not have that version."""
    parameters = (namespace_id, version)
    return connection.execute(STATEMENTS["delete_namespace"], parameters).rowcount == 1


def list_namespaces(connection: sqlite3.Connection) -> list[NamespaceRow]:
    """Returns all namespaces, by name."""
    return [NamespaceRow(*row) for row in connection.execute(STATEMENTS["list_namespaces"])]


def get_document(connection: sqlite3.Connection, name: str) -> tuple[int, bytes] | None:
    """Returns version and data of a named document."""
    row: tuple[int, bytes] | None
    row = connection.execute(STATEMENTS["get_document"], (name,)).fetchone()
    return row


def put_document(connection: sqlite3.Connection, name: str, version: int, data: bytes) -> bool:
    """Writes `version`, replacing `version - 1` (0 = absent); False when it is not stored."""
    if version == 1:
        parameters: tuple[object, ...] = (version, data, name)
        return connection.execute(STATEMENTS["create_document"], parameters).rowcount == 1
    parameters = (version, data, name, version - 1)
    return connection.execute(STATEMENTS["update_document"], parameters).rowcount == 1
