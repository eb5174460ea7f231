"""The production store: PostgreSQL by psycopg.

Rules that hold here: nothing else in the code imports psycopg; SQL lives in `statements.sql` and
`migrations/`; connections are few and fixed, and nothing depends on a server session outside a
transaction, so a pgbouncer in session mode may stand between.
"""

from perdure.persistence.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
