"""Opens a store for commands that look at it, whether or not a server runs.

Rules that hold here: nothing is created, migrated or written.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from perdure.config import file
from perdure.config.errors import ConfigError
from perdure.config.static import Store as StoreConfig
from perdure.persistence.opening import open_store
from perdure.persistence.ports import StartupError, Store, StoreUnavailable
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

T = TypeVar("T")
Command = Callable[..., None]


class Opened(NamedTuple):
    """A store, and what it is: its kind, and the version of its schema (0 where there is none)."""

    store: Store
    kind: str
    schema_version: int


def of_store(command: Command) -> Command:
    """Adds the options that say which store, and how the answer is printed."""
    options = (
        click.option(
            "-c",
            "--config",
            "path",
            type=click.Path(path_type=Path),
            help="YAML file of a server, whose store is meant.",
        ),
        click.option(
            "--dsn", default="", help="PostgreSQL connection string; rather PGPASSWORD in it."
        ),
        click.option("--db-filename", default="", help="SQLite file."),
        click.option(
            "-o",
            "--output",
            type=click.Choice(["table", "json"]),
            default="table",
            show_default=True,
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read(
    path: Path | None, dsn: str, db_filename: str, question: Callable[[Opened], Awaitable[T]]
) -> T:
    """Opens a store, asks it something, and closes it.

    Raises:
        ConfigError: It is not said which store, or that store cannot be read.
        StartupError: The store must not or cannot be used.
    """

    async def ask() -> T:
        async with opened(_which(path, dsn, db_filename)) as store:
            try:
                return await question(store)
            except StoreUnavailable as error:
                raise StartupError(f"The store cannot be read ({error}): try again.") from error

    return asyncio.run(ask())


@asynccontextmanager
async def opened(config: StoreConfig) -> AsyncIterator[Opened]:
    """Opens a store for reading. Raises as `read` does."""
    if config.kind == "memory":
        raise ConfigError("a memory store ends with its server: there is nothing to look at")
    if config.kind == "sqlite":
        raise ConfigError(
            f"the SQLite file {config.path} belongs to its server, which cannot share it with"
            " this command: ask the server instead, with the temporal CLI"
        )
    version = await _schema_version(config)
    store = await open_store(
        config.kind,
        ids=SystemIds(clock=SystemClock()),
        dsn=config.dsn,
        readers=1,
        timeout_seconds=config.timeout_seconds,
    )
    try:
        yield Opened(store, config.kind, version)
    finally:
        await store.close()


def _which(path: Path | None, dsn: str, db_filename: str) -> StoreConfig:
    if sum(map(bool, (path, dsn, db_filename))) != 1:
        raise ConfigError("say which store: one of --config, --dsn and --db-filename")
    if path is not None:
        return file.read(path).config.store
    if dsn:
        return StoreConfig(kind="postgres", dsn=dsn)
    return StoreConfig(kind="sqlite", path=db_filename)


async def _schema_version(config: StoreConfig) -> int:
    try:
        from perdure.persistence.postgres import administration  # noqa: PLC0415 needs psycopg
    except ImportError as error:
        raise StartupError(
            "The PostgreSQL store needs its driver: pip install 'perdure[postgres]'."
        ) from error
    found = await administration.status(config.dsn, timeout_seconds=config.timeout_seconds)
    return found.schema_version
