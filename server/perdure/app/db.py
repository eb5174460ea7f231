"""`perdure db setup | migrate | status`: looks after a PostgreSQL database.

The database itself exists already; what is here makes, changes and shows what is in it.
"""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perdure.app.failures import said_in_a_sentence
from perdure.config import file
from perdure.config.errors import ConfigError
from perdure.config.static import Store
from perdure.persistence.ports import StartupError
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

if TYPE_CHECKING:
    from types import ModuleType

    from perdure.persistence.postgres.administration import Status

Command = Callable[..., None]


def _database(command: Command) -> Command:
    """Adds the options that say which database."""
    config = click.option(
        "-c",
        "--config",
        "path",
        type=click.Path(path_type=Path),
        help="YAML file of a server, whose store is meant.",
    )
    dsn = click.option(
        "--dsn", default="", help="Connection string; a password is better in PGPASSWORD."
    )
    return config(dsn(command))


@click.command("setup")
@_database
def setup(path: Path | None, dsn: str) -> None:
    """Create the schema in an empty database."""
    with said_in_a_sentence():
        store = _store(path, dsn)
        asyncio.run(
            _administration().setup(
                store.dsn, ids=_ids(), say=click.echo, timeout_seconds=store.timeout_seconds
            )
        )


@click.command("migrate")
@_database
@click.option(
    "--expand",
    "expand_only",
    is_flag=True,
    help="Only the steps that releases before this one get along with.",
)
def migrate(path: Path | None, dsn: str, *, expand_only: bool) -> None:
    """Bring the schema up to this release."""
    with said_in_a_sentence():
        store = _store(path, dsn)
        asyncio.run(
            _administration().migrate(
                store.dsn,
                ids=_ids(),
                say=click.echo,
                expand_only=expand_only,
                timeout_seconds=store.timeout_seconds,
            )
        )


@click.command("status")
@_database
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def status(path: Path | None, dsn: str, output: str) -> None:
    """Show the schema's version, pending steps and sizes."""
    with said_in_a_sentence():
        store = _store(path, dsn)
        found: Status = asyncio.run(
            _administration().status(store.dsn, timeout_seconds=store.timeout_seconds)
        )
    click.echo(json.dumps(_plain(found), indent=2) if output == "json" else _text(found))


def _store(path: Path | None, dsn: str) -> Store:
    if bool(path) == bool(dsn):
        raise ConfigError("say which database: either --config FILE or --dsn CONNECTION_STRING")
    if path is None:
        return Store(kind="postgres", dsn=dsn)
    store = file.read(path).config.store
    if store.kind != "postgres":
        raise ConfigError(
            f"the store in {path} is {store.kind}, which the server sets up by itself:"
            " only a postgres store is looked after here"
        )
    return store


def _administration() -> "ModuleType":
    try:
        from perdure.persistence.postgres import administration  # noqa: PLC0415
    except ImportError as error:
        raise StartupError(
            "The PostgreSQL store needs its driver: pip install 'perdure[postgres]'."
        ) from error
    return administration


def _ids() -> SystemIds:
    return SystemIds(clock=SystemClock())


def _plain(found: "Status") -> dict[str, Any]:
    plain = dataclasses.asdict(found)
    plain["pending"] = [
        {"number": step.number, "kind": step.kind, "name": step.name} for step in found.pending
    ]
    return plain


def _text(found: "Status") -> str:
    lines = [
        f"Database:       {found.place}",
        f"PostgreSQL:     {found.server_version}",
        f"Cluster:        {found.cluster_id or 'none'}",
        f"Schema:         {found.schema_version} (this release knows {found.known_version})",
        f"Pending steps:  {len(found.pending) or 'none'}",
    ]
    lines += [f"  {step.number} {step.kind}: {step.name}" for step in found.pending]
    if found.tables:
        width = max(len(table.name) for table in found.tables)
        lines.append(f"{'Table':<{width}}  {'MiB':>10}  {'rows, about':>12}")
        lines += [
            f"{table.name:<{width}}  {table.bytes / 2**20:>10.1f}  {table.rows:>12}"
            for table in found.tables
        ]
    return "\n".join(lines)
