"""The production store: PostgreSQL by psycopg.

Rules that hold here: nothing else in the code imports psycopg; SQL lives in `statements.sql` and
`migrations/`; connections are few and fixed, every wait has a bound, and whatever breaks is made
again. A session is set up once, for as long as it is held, so that a pgbouncer in session mode may
stand between. Every statement on a divided table names the slot.
"""

from perdure.persistence.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
