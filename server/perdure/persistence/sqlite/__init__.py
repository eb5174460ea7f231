"""The embedded store: one SQLite file, one server.

Rules that hold here: SQL lives in `statements.sql` and `migrations/`; one `commit` is one
transaction and one sync of the log; the file has one owner at a time.
"""

from perdure.persistence.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
