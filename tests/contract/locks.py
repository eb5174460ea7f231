"""Waits for transactions that wait for each other."""

import psycopg

from waiting import until_asked

_WAITERS = (
    b"SELECT pg_stat_clear_snapshot(), COUNT(*) FROM pg_stat_activity"
    b" WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


async def somebody_waits(connection: psycopg.AsyncConnection) -> None:
    """Waits until a connection to the same database waits for a lock."""

    async def waits() -> bool:
        row = await (await connection.execute(_WAITERS)).fetchone()
        assert row is not None
        return bool(row[1])

    await until_asked(waits)
