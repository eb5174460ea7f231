"""Columns reach the server as they are, and what does not fit into one is refused alone."""

from typing import Any

import pytest

from contract.cluster import PostgresCluster
from contract.rows import commit_all, results, start, step, transition, visible, whole_shard
from perdure.persistence.ports import Result
from perdure.persistence.postgres import PostgresStore
from perdure.persistence.postgres.columns import COLUMNS
from perdure.persistence.postgres.connecting import connect, parse
from perdure.runtime.ports import Ids

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("text", ["", "a", "é ✓ 𝄞", "NULL", '"{}\\,', "x" * 100_000]),
        ("bytea", [b"", b"\0", bytes(range(256))]),
        ("smallint", [-(1 << 15), -1, 0, (1 << 15) - 1]),
        ("int", [-(1 << 31), -1, 0, (1 << 31) - 1]),
        ("bigint", [-(1 << 63), -1, 0, (1 << 63) - 1]),
        ("boolean", [True, False]),
    ],
)
async def test_a_column_comes_back_as_it_was(
    postgres_cluster: PostgresCluster, name: str, values: list[Any]
) -> None:
    address = parse(postgres_cluster.conninfo("postgres"), timeout_seconds=30)
    async with await connect(address) as connection:
        for sent in (values, values[:1], []):
            query = f"SELECT %b::{name}[], pg_typeof(%b)::text"
            column = COLUMNS[name](sent)
            row = await (await connection.execute(query.encode(), (column, column))).fetchone()
            assert row == (sent, "integer[]" if name == "int" else f"{name}[]")


async def test_a_number_that_is_too_large_for_its_column_fails_alone(
    postgres_cluster: PostgresCluster, ids: Ids
) -> None:
    store = await PostgresStore.open(postgres_cluster.create_database(), ids=ids, create=True)
    shard = await whole_shard(store)
    bad = transition(shard, visibility=[visible("run-9", status=1 << 40)])
    outcomes = await store.commit([start(shard, "run-1"), bad, start(shard, "run-2", "other")])
    assert results(outcomes) == [Result.COMMITTED, Result.REJECTED, Result.COMMITTED]
    assert outcomes[1].detail
    await commit_all(store, transition(shard, step("run-1", 1)))
    await store.close()
