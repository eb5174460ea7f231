"""Opens the store that a configuration names.

Rules that hold here: a driver is imported only when its store is asked for, so that a server
without PostgreSQL needs no psycopg.
"""

from pathlib import Path
from typing import Literal

from perdure.persistence.observation import StoreObserver
from perdure.persistence.ports import StartupError, Store
from perdure.runtime.ports import Clock, Ids

StoreKind = Literal["memory", "sqlite", "postgres"]


async def open_store(
    kind: StoreKind,
    *,
    ids: Ids,
    clock: Clock | None = None,
    path: str = "",
    dsn: str = "",
    readers: int = 4,
    timeout_seconds: float = 10.0,
    observer: StoreObserver | None = None,
) -> Store:
    """Opens a store, creating what does not exist yet; a PostgreSQL schema must exist.

    Args:
        kind: Which store. `memory` is the cheapest: no SQL at all, and nothing to clean up.
        ids: Makes the names of a new store.
        clock: Tells the time that nodes go by, the machine's by default; PostgreSQL has its own.
        path: The SQLite file.
        dsn: The PostgreSQL connection string, as libpq reads it.
        readers: Connections to PostgreSQL for reads.
        timeout_seconds: How long PostgreSQL may take to answer.
        observer: Told of every call of the store.

    Raises:
        StartupError: The store must not or cannot be used; the sentence says the fix.
    """
    match kind:
        case "memory":
            from perdure.persistence.memory import MemoryStore  # noqa: PLC0415

            return MemoryStore(ids=ids, clock=clock, observer=observer)
        case "sqlite":
            from perdure.persistence.sqlite import SqliteStore  # noqa: PLC0415

            return await SqliteStore.open(Path(path), ids=ids, clock=clock, observer=observer)
        case "postgres":
            try:
                from perdure.persistence.postgres import PostgresStore  # noqa: PLC0415
            except ImportError as error:
                raise StartupError(
                    "The PostgreSQL store needs its driver: pip install 'perdure[postgres]'."
                ) from error
            return await PostgresStore.open(
                dsn, ids=ids, observer=observer, readers=readers, timeout_seconds=timeout_seconds
            )
