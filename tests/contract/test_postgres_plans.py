"""Plans: whatever names one workflow touches one partition, and nothing reads a whole table."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from contract.cluster import PostgresCluster
from contract.rows import (
    NAMESPACE,
    commit_all,
    deletion,
    item,
    message,
    queue,
    receipt,
    receipt_key,
    run_key,
    start,
    step,
    task,
    timer,
    transition,
    whole_shard,
)
from perdure.core.commit import Commit
from perdure.core.slots import slot_of
from perdure.persistence.coalescing import fold
from perdure.persistence.ports import Shard
from perdure.persistence.postgres import PostgresStore, reading
from perdure.persistence.postgres.connecting import Connection, parse
from perdure.persistence.postgres.rows import expect_epochs, statements
from perdure.persistence.postgres.session import Session
from perdure.persistence.postgres.statements import STATEMENTS
from perdure.runtime.ports import Ids

pytestmark = pytest.mark.postgres

WORKFLOWS = 40
EXPLAIN = (
    b"LOAD 'auto_explain'",
    b"SET auto_explain.log_min_duration = 0",
    b"SET auto_explain.log_analyze = on",
    b"SET auto_explain.log_timing = off",
    b"SET auto_explain.log_format = json",
    b"SET client_min_messages = log",
)

Scan = tuple[str, str]
"""How a relation was read: the plan node's type and the relation's name."""


class Explained:
    """A connection as the store makes it, which tells what its statements read."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._plans: list[dict[str, Any]] = []
        connection.add_notice_handler(self._noticed)

    async def scans(self, name: str, parameters: Any) -> set[Scan]:
        """Runs a statement and returns what it read, once the server has planned it for good."""
        await self.once(name, parameters)
        return await self.once(name, parameters)

    async def once(self, name: str, parameters: Any) -> set[Scan]:
        """Runs a statement and returns what it read."""
        self._plans.clear()
        await self.connection.execute(STATEMENTS[name], parameters, prepare=True)
        return {scan for plan in self._plans for scan in _scans(plan)}

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        _, _, plan = (notice.message_primary or "").partition("plan:\n")
        if plan:
            self._plans.append(json.loads(plan)["Plan"])


def _scans(plan: dict[str, Any]) -> Iterator[Scan]:
    if plan.get("Relation Name") and plan["Actual Loops"] and "Scan" in plan["Node Type"]:
        yield plan["Node Type"], plan["Relation Name"]
    for inner in plan.get("Plans", ()):
        yield from _scans(inner)


@pytest.fixture
async def shard(postgres_cluster: PostgresCluster, ids: Ids) -> tuple[str, Shard]:
    """A database in which there are some workflows, and its one shard."""
    dsn = postgres_cluster.create_database()
    store = await PostgresStore.open(dsn, ids=ids, create=True)
    shard = await whole_shard(store)
    await commit_all(store, *_started(shard))
    await store.close()
    return dsn, shard


@asynccontextmanager
async def explaining(dsn: str, *, setup: str) -> AsyncIterator[Explained]:
    session = Session(parse(dsn, timeout_seconds=30), setup=setup)
    async with session.connected() as connection:
        for command in EXPLAIN:
            await connection.execute(command)
        yield Explained(connection)
    await session.close()


@pytest.fixture
async def commits(shard: tuple[str, Shard]) -> AsyncIterator[Explained]:
    """A connection as commits have it."""
    async with explaining(shard[0], setup="configure_commits") as explained:
        yield explained


@pytest.fixture
async def reads(shard: tuple[str, Shard]) -> AsyncIterator[Explained]:
    """A connection as reads have it."""
    async with explaining(shard[0], setup="configure_reads") as explained:
        yield explained


def _started(shard: Shard) -> Iterator[Commit]:
    for number in range(WORKFLOWS):
        begin = start(shard, f"run-{number}", f"workflow-{number}")
        begin.tasks_added = [task(number)]
        begin.timers_added = [timer(number, slot=begin.slot)]
        begin.messages_added = [message(str(number), slot=begin.slot)]
        begin.receipts_added = [receipt("1", workflow_id=begin.workflow_id)]
        yield begin


def _changes(shard: Shard, number: int) -> list[Commit]:
    """All that may be changed in a workflow: it goes on, has another run, is deleted."""
    run_id, workflow_id = f"run-{number}", f"workflow-{number}"
    slot = slot_of(NAMESPACE, workflow_id)
    goes_on = transition(
        shard,
        step(run_id, 1, items_put={item("1"): b""}, items_deleted={item("2")}),
        workflow_id=workflow_id,
        tasks_deleted=[task(number).key],
        timers_deleted=[timer(number, slot=slot)],
        messages_deleted=[message(str(number), slot=slot).key],
    )
    next_run = start(shard, f"next-{number}", workflow_id, replacing=run_id)
    return [goes_on, next_run, transition(shard, deletion(run_id, 2), workflow_id=workflow_id)]


def _partitions(scans: set[Scan]) -> dict[str, set[str]]:
    """Which partitions of each table were read."""
    found: dict[str, set[str]] = {}
    for _, relation in scans:
        table, _, number = relation.rpartition("_")
        if number.isdigit():
            found.setdefault(table, set()).add(number)
    return found


async def test_changes_of_a_workflow_find_their_rows_in_one_partition(
    shard: tuple[str, Shard], commits: Explained
) -> None:
    seen: set[str] = set()
    for number in range(5):
        for commit in _changes(shard[1], number):
            (plan,), _ = fold([commit])
            for name, parameters in statements(plan):
                if name.startswith(("insert", "put")):
                    continue
                await commits.connection.execute(b"BEGIN")
                try:
                    scans = await commits.once(name, parameters)
                finally:
                    await commits.connection.execute(b"ROLLBACK")
                kinds = {kind for kind, _ in scans}
                assert kinds <= {"Index Scan", "Index Only Scan", "Function Scan", "CTE Scan"}, name
                assert all(len(each) == 1 for each in _partitions(scans).values()), (name, scans)
                seen |= {name} if _partitions(scans) else set()
            await _write(commits, plan)
    assert seen == {
        "update_runs",
        "update_current",
        "delete_items",
        "delete_timers",
        "delete_messages",
        "delete_runs",
        "delete_rows_of_runs",
        "delete_current",
    }


async def _write(commits: Explained, plan: Any) -> None:
    for name, parameters in statements(plan):
        await commits.connection.execute(STATEMENTS[name], parameters, prepare=True)


async def test_a_batch_finds_its_rows_by_their_keys(
    shard: tuple[str, Shard], commits: Explained
) -> None:
    changes = [_changes(shard[1], number)[0] for number in range(WORKFLOWS)]
    (plan,), _ = fold(changes)
    for name, parameters in statements(plan):
        scans = await commits.once(name, parameters)
        assert not any(kind == "Seq Scan" for kind, _ in scans), (name, scans)


async def test_reads_of_a_workflow_go_to_one_partition(reads: Explained) -> None:
    place = reading.place(*run_key("run-1", "workflow-1"))
    slot = place["slot"]
    events = {**place, "first": 1, "end": 9, "limit": 9}
    key = receipt_key("1", "workflow-1")
    first_timer = (*reading.FIRST_TIMER, 1 << 62, slot, slot, 10)
    first_message = (*reading.FIRST_MESSAGE, 1 << 62, slot, slot, 10)
    for name, parameters, tables in (
        ("load_run", place, {"runs", "items"}),
        ("load_current", place, {"current_runs", "runs", "items"}),
        ("read_history", events, {"history", "runs"}),
        ("read_history_reverse", events, {"history", "runs"}),
        ("load_receipt", (slot, *key), {"receipts"}),
        ("read_timers", first_timer, {"timers"}),
        ("read_messages", first_message, {"messages"}),
    ):
        scans = await reads.scans(name, parameters)
        partitions = _partitions(scans)
        assert set(partitions) == tables, name
        assert all(len(each) == 1 for each in partitions.values()), (name, scans)
        assert not any(kind == "Seq Scan" for kind, _ in scans), (name, scans)


async def test_a_batch_of_epochs_is_checked_by_their_index(
    shard: tuple[str, Shard], commits: Explained
) -> None:
    scans = await commits.scans(*expect_epochs([transition(shard[1])]))
    assert ("Index Scan", "shards") in scans


async def test_tasks_are_read_by_indexes_that_give_their_order(reads: Explained) -> None:
    of_queue = (*queue(), *reading.FIRST_IN_QUEUE, 10)
    of_slots = (*reading.FIRST_TASK, 5, 6, 10)
    assert await reads.scans("read_queue", of_queue) == {("Index Scan", "tasks")}
    assert await reads.scans("read_tasks", of_slots) == {("Index Scan", "tasks")}
    after = await reads.scans("next_partition", tuple(queue()))
    assert after <= {("Index Scan", "tasks"), ("Index Only Scan", "tasks")}
