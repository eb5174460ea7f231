"""The schema's steps: what is applied, what is missing, and applying it.

Theory of operation: a step is a numbered SQL file that says of itself what it is. An `expand` step
adds what the release before does not mind, and may be applied while that one runs; every release
needs all the `expand` steps that it knows. A `contract` step removes what older releases still
use: it names the oldest format that nodes must read and the oldest schema that releases must know,
and is refused while a live node is older.

Rules that hold here: a step is one transaction, which begins with the lock on the schema and with
reading its version, so that any number of migrators may run at once. A step that waits long for a
table gives up, because everybody else would wait behind it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import psycopg

from perdure.persistence.ports import StartupError
from perdure.persistence.postgres.connecting import Connection
from perdure.persistence.postgres.statements import STATEMENTS
from perdure.persistence.sql_files import load_migrations
from perdure.runtime.ports import Ids

Kind = Literal["expand", "contract"]
_HEADER = re.compile(r"^-- (kind|format|schema): (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the schema.

    Attributes:
        number: The schema's version once it is applied.
        name: What the file is called after its number.
        kind: Whether older releases get along with it.
        format: The oldest format that every live node must read; of `contract` steps.
        oldest_schema: The oldest schema that a release must know from then on; 0 for no change.
        sql: The statements.
    """

    number: int
    name: str
    kind: Kind
    format: int
    oldest_schema: int
    sql: str


@dataclass(frozen=True, slots=True)
class Version:
    """How far a schema is: 0 when there is none.

    Attributes:
        number: The last step that was applied.
        oldest_schema: The oldest schema that a release must know to use it.
    """

    number: int
    oldest_schema: int


def load_steps(folder: Path) -> tuple[Step, ...]:
    """Returns the steps of a folder. Raises ValueError when a file does not say what it is."""
    names = {int(file.name.split("_")[0]): file.stem for file in folder.glob("[0-9]*.sql")}
    return tuple(
        _step(number, names[number].partition("_")[2], sql)
        for number, sql in sorted(load_migrations(folder).items())
    )


def _step(number: int, name: str, sql: str) -> Step:
    header = dict(_HEADER.findall(sql))
    kind = header.get("kind")
    wanted = {"kind"} if kind == "expand" else {"kind", "format", "schema"}
    if kind not in {"expand", "contract"} or set(header) != wanted:
        raise ValueError(f"migration {number} does not say its kind, and only what belongs to it")
    bounds = int(header.get("format", 0)), int(header.get("schema", 0))
    return Step(number, name, cast("Kind", kind), *bounds, sql)


STEPS = load_steps(Path(__file__).parent / "migrations")


async def read_version(connection: Connection) -> Version:
    """Returns how far the schema is."""
    found = await (await connection.execute(STATEMENTS["find_version"])).fetchone()
    if found is None or not found[0]:
        return Version(0, 0)
    row = await (await connection.execute(STATEMENTS["read_version"])).fetchone()
    return Version(*row) if row is not None else Version(0, 0)


def check_version(version: Version, steps: Sequence[Step] = STEPS) -> None:
    """Checks that this release may use a schema. Raises StartupError."""
    known = steps[-1].number
    needed = max(step.number for step in steps if step.kind == "expand")
    if version.number == 0:
        raise StartupError(
            "The PostgreSQL database holds no schema of Perdure: run `perdure db setup`."
        )
    if version.oldest_schema > known:
        raise StartupError(
            f"The PostgreSQL schema has version {version.number} and needs a release that knows"
            f" {version.oldest_schema}, this one knows {known}: start a newer release,"
            " and see `perdure db status`."
        )
    if version.number < needed:
        raise StartupError(
            f"The PostgreSQL schema has version {version.number} and this release needs {needed}:"
            " run `perdure db migrate`."
        )


async def apply(connection: Connection, step: Step, ids: Ids) -> bool:
    """Applies a step; False when it was applied before.

    Raises:
        StartupError: It must not be applied yet, or another one comes first.
    """
    async with connection.transaction():
        await connection.execute(STATEMENTS["allow_long_steps"])
        await connection.execute(STATEMENTS["lock_schema"])
        await connection.execute(STATEMENTS["give_up_on_locked_tables"])
        version = await read_version(connection)
        if version.number >= step.number:
            return False
        assert version.number == step.number - 1, f"step {step.number} follows {version}"
        if step.kind == "contract":
            await _refuse_while_old_nodes_live(connection, step)
        await connection.execute(step.sql.encode())
        await connection.execute(STATEMENTS["create_version"])
        oldest = max(version.oldest_schema, step.oldest_schema, 1)
        await connection.execute(STATEMENTS["write_version"], {"v": step.number, "o": oldest})
        if version.number == 0:
            names = (ids.request_id(), ids.request_id())
            await connection.execute(STATEMENTS["create_store"], names)
    return True


async def _refuse_while_old_nodes_live(connection: Connection, step: Step) -> None:
    await connection.execute(STATEMENTS["lock_nodes"])
    cursor = await connection.execute(STATEMENTS["nodes_of_older_formats"], (step.format,))
    nodes = [f"{name} ({version})" for name, version in await cursor.fetchall()]
    if nodes:
        raise StartupError(
            f"Step {step.number} removes what {', '.join(nodes)} still needs: upgrade or stop it,"
            " and run `perdure db migrate` again."
        )


def lock_refused(step: Step, error: psycopg.Error) -> StartupError:
    """Returns what to say of a step that could not lock its tables."""
    return StartupError(
        f"Step {step.number} waited too long for others to let go of its tables"
        f" ({' '.join(str(error).split())}): run `perdure db migrate` again."
    )
