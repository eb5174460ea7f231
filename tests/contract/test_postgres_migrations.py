"""The schema: set up once, migrated by anybody at any time, refused when it does not fit."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from contract.cluster import PostgresCluster
from contract.rows import node
from perdure.app.cli import main
from perdure.persistence.ports import StartupError
from perdure.persistence.postgres import PostgresStore
from perdure.persistence.postgres.administration import migrate, prepare, setup, status
from perdure.persistence.postgres.connecting import parse
from perdure.persistence.postgres.schema import STEPS, Step, load_steps
from perdure.runtime.ports import Ids

pytestmark = pytest.mark.postgres

LAST = STEPS[-1].number


@pytest.fixture
def dsn(postgres_cluster: PostgresCluster) -> str:
    return postgres_cluster.create_database()


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """Somebody else's connection to the database."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection


def expand(number: int) -> Step:
    """A step that cannot be applied twice, and takes a while."""
    sql = f"SELECT pg_sleep(0.05); CREATE TABLE step_{number} (id int)"
    return Step(number, f"table_{number}", "expand", 0, 0, sql)


def contract(number: int, *, node_format: int = 3) -> Step:
    return Step(number, "drop", "contract", node_format, LAST + 1, f"DROP TABLE step_{LAST + 1}")


NEWER = (*STEPS, expand(LAST + 1), expand(LAST + 2), contract(LAST + 3), expand(LAST + 4))


async def version(dsn: str) -> int:
    return (await status(dsn)).schema_version


async def test_setting_up_twice_says_so_and_changes_nothing(dsn: str, ids: Ids) -> None:
    said: list[str] = []
    await setup(dsn, ids=ids, say=said.append)
    assert said == [
        *(f"step {step.number} ({step.kind}: {step.name}): applied" for step in STEPS),
        f"the schema has version {LAST}",
    ]
    before = await status(dsn)
    await setup(dsn, ids=ids, say=said.append)
    assert said[-1] == said[-2]
    assert await status(dsn) == before
    await (await PostgresStore.open(dsn, ids=ids)).close()


async def test_migrating_needs_a_schema(dsn: str, ids: Ids) -> None:
    with pytest.raises(StartupError, match="run `perdure db setup`"):
        await migrate(dsn, ids=ids, say=print)
    assert await version(dsn) == 0


async def test_any_number_of_migrators_may_run_at_once(dsn: str, ids: Ids) -> None:
    await setup(dsn, ids=ids, say=print)
    said: list[str] = []
    steps = NEWER[:-2]
    await asyncio.gather(
        *(migrate(dsn, ids=ids, say=said.append, steps=steps) for _ in range(4)),
    )
    for step in steps[len(STEPS) :]:
        title = f"step {step.number} (expand: table {step.number})"
        assert said.count(f"{title}: applied") == 1
    assert await version(dsn) == steps[-1].number
    await migrate(dsn, ids=ids, say=said.append, steps=steps)
    assert said[-1] == f"the schema has version {steps[-1].number}"


async def test_setups_at_once_make_one_store(dsn: str, ids: Ids) -> None:
    await asyncio.gather(*(setup(dsn, ids=ids, say=print) for _ in range(4)))
    assert await version(dsn) == LAST


async def test_what_older_nodes_need_is_not_removed_while_they_live(dsn: str, ids: Ids) -> None:
    store = await PostgresStore.open(dsn, ids=ids, create=True)
    assert await store.register_node(node("old")) is None
    with pytest.raises(StartupError, match=r"removes what old \(1\.2\.3\) still needs: upgrade"):
        await migrate(dsn, ids=ids, say=print, steps=NEWER)
    assert await version(dsn) == LAST + 2
    await prepare(parse(dsn, timeout_seconds=5), ids=ids, create=False, steps=NEWER[:-1])
    await store.remove_node("old")
    assert await store.register_node(node("dead", lease=0)) is None
    await store.close()
    await migrate(dsn, ids=ids, say=print, steps=NEWER)
    assert await version(dsn) == LAST + 4
    with pytest.raises(StartupError, match="start a newer release"):
        await PostgresStore.open(dsn, ids=ids)
    with pytest.raises(StartupError, match="start a newer release"):
        await migrate(dsn, ids=ids, say=print)


async def test_before_the_nodes_are_upgraded_only_expansions_are_applied(
    dsn: str, ids: Ids
) -> None:
    await setup(dsn, ids=ids, say=print)
    said: list[str] = []
    await migrate(dsn, ids=ids, say=said.append, expand_only=True, steps=NEWER)
    assert said[0].startswith(f"left for later: step {LAST + 3} (contract: drop), step {LAST + 4}")
    assert await version(dsn) == LAST + 2
    assert [step.number for step in (await status(dsn, steps=NEWER)).pending] == [
        LAST + 3,
        LAST + 4,
    ]


async def test_an_old_release_runs_beside_expansions(dsn: str, ids: Ids) -> None:
    await setup(dsn, ids=ids, say=print)
    await migrate(dsn, ids=ids, say=print, expand_only=True, steps=NEWER)
    store = await PostgresStore.open(dsn, ids=ids)
    assert await store.create_shards(2)
    await store.close()


async def test_a_schema_that_is_too_old_is_refused(dsn: str, ids: Ids) -> None:
    await setup(dsn, ids=ids, say=print)
    with pytest.raises(StartupError, match=f"needs {LAST + 2}: run `perdure db migrate`"):
        await prepare(parse(dsn, timeout_seconds=5), ids=ids, create=False, steps=NEWER[:-2])


async def test_a_step_that_fails_leaves_nothing(
    dsn: str, ids: Ids, other: psycopg.AsyncConnection
) -> None:
    await setup(dsn, ids=ids, say=print)
    broken = Step(LAST + 1, "broken", "expand", 0, 0, "CREATE TABLE half (id int); SELECT 1/0")
    with pytest.raises(StartupError, match="division by zero"):
        await migrate(dsn, ids=ids, say=print, steps=(*STEPS, broken))
    row = await (await other.execute("SELECT to_regclass('half')")).fetchone()
    assert row == (None,)
    assert await version(dsn) == LAST


async def test_a_step_waits_for_no_table(
    dsn: str, ids: Ids, other: psycopg.AsyncConnection
) -> None:
    await setup(dsn, ids=ids, say=print)
    slow = "SET LOCAL lock_timeout = '10ms'; ALTER TABLE documents ADD COLUMN more int"
    step = Step(LAST + 1, "column", "expand", 0, 0, slow)
    async with other.transaction():
        await other.execute("LOCK TABLE documents")
        with pytest.raises(StartupError, match="run `perdure db migrate` again"):
            await migrate(dsn, ids=ids, say=print, steps=(*STEPS, step))
    await migrate(dsn, ids=ids, say=print, steps=(*STEPS, step))
    assert await version(dsn) == LAST + 1


@pytest.mark.parametrize(
    "header",
    [
        "",
        "-- kind: both",
        "-- kind: contract",
        "-- kind: contract\n-- format: 2",
        "-- kind: expand\n-- schema: 2",
    ],
)
def test_a_step_says_what_it_is(tmp_path: Path, header: str) -> None:
    (tmp_path / "0001_step.sql").write_text(f"{header}\nSELECT 1")
    with pytest.raises(ValueError, match="migration 1 does not say its kind"):
        load_steps(tmp_path)


def test_the_headers_of_steps_are_read(tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("-- kind: expand\nSELECT 1")
    (tmp_path / "0002_then.sql").write_text("-- kind: contract\n-- format: 4\n-- schema: 1\n")
    first, then = load_steps(tmp_path)
    assert (first.number, first.name, first.kind) == (1, "first", "expand")
    assert (then.kind, then.format, then.oldest_schema) == ("contract", 4, 1)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["db", *arguments])
    return result.exit_code, result.output


def test_the_commands(dsn: str, tmp_path: Path) -> None:
    config = tmp_path / "perdure.yaml"
    config.write_text(json.dumps({"store": {"kind": "postgres", "dsn": dsn}}))
    assert run("status", "--dsn", dsn)[0] == 0
    assert run("migrate", "--dsn", dsn) == (
        1,
        "Error: The PostgreSQL database holds no schema of Perdure: run `perdure db setup`.\n",
    )
    code, said = run("setup", "--config", str(config))
    assert (code, said.splitlines()[-1]) == (0, f"the schema has version {LAST}")
    assert run("migrate", "--dsn", dsn) == (0, f"the schema has version {LAST}\n")
    code, said = run("status", "--config", str(config), "--output", "json")
    found = json.loads(said)
    assert (code, found["schema_version"], found["pending"]) == (0, LAST, [])
    tables = {table["name"]: table for table in found["tables"]}
    assert {"runs", "history", "tasks", "nodes"} <= set(tables)
    assert not any(name.startswith("runs_") for name in tables)
    assert all(table["bytes"] > 0 for table in tables.values())
    code, said = run("status", "--dsn", dsn)
    assert f"Schema:         {LAST} (this release knows {LAST})" in said
    assert "Pending steps:  none" in said


def test_the_commands_say_which_database_they_need(tmp_path: Path) -> None:
    config = tmp_path / "perdure.yaml"
    config.write_text("store: {kind: memory}")
    assert "only a postgres store is looked after" in run("setup", "-c", str(config))[1]
    for arguments in (["status"], ["status", "--dsn", "host=there", "-c", str(config)]):
        code, said = run(*arguments)
        assert code == 1
        assert "either --config FILE or --dsn" in said
    assert "cannot be read" in run("status", "--dsn", "nonsense")[1]
