"""What a node tells of its database: connections in use, and one that goes away and comes back."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client

from contract.cluster import PostgresCluster
from integration.role_nodes import database_server, role_nodes
from perdure.app.node import Node
from waiting import until_asked

pytestmark = pytest.mark.postgres

READS = 3
DATABASES = b"SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
POOL = "persistence_sql_"
REFRESHES = "persistence_session_refresh_"


@pytest.fixture
def database() -> Iterator[PostgresCluster]:
    """One of the test's own, which it may stop."""
    with database_server() as server:
        yield server


@pytest.fixture
async def nodes(database: PostgresCluster) -> AsyncIterator[dict[str, Node]]:
    async with role_nodes(database) as started:
        yield started


async def told(node: Node) -> Mapping[str, float]:
    """Returns what a node tells of its store and its health, by name; each has one series."""
    text = await asyncio.to_thread(_scrape, node.places["Metrics"])
    return {
        sample.name.removesuffix("_total"): sample.value
        for family in text_string_to_metric_families(text)
        if family.name.startswith((POOL, REFRESHES, "host_health"))
        for sample in family.samples
    }


def _scrape(address: str) -> str:
    with urllib.request.urlopen(address) as response:  # noqa: S310 it is http
        return str(response.read(), "utf-8")


async def in_use(node: Node) -> float:
    return (await told(node))[f"{POOL}in_use"]


async def locked_reads(database: PostgresCluster, node: Node, client: Client) -> None:
    """Has reads of runs wait for a lock until the node tells that they hold connections."""
    with psycopg.connect(database.conninfo("postgres")) as connection:
        (name,) = connection.execute(DATABASES).fetchone() or ()
    async with await psycopg.AsyncConnection.connect(database.conninfo(name)) as blocker:
        await blocker.execute("LOCK TABLE current_runs IN ACCESS EXCLUSIVE MODE")
        reads = [
            asyncio.create_task(client.get_workflow_handle(f"none-{number}").describe())
            for number in range(READS)
        ]

        async def all_hold_one() -> bool:
            return await in_use(node) >= READS

        await until_asked(all_hold_one)
        found = await told(node)
        assert found[f"{POOL}open_conn"] - found[f"{POOL}idle_conn"] == found[f"{POOL}in_use"]
        assert found[f"{POOL}open_conn"] <= found[f"{POOL}max_open_conn"]
        await blocker.rollback()
        await asyncio.gather(*reads, return_exceptions=True)


async def test_connections_are_told_while_they_are_in_use(
    database: PostgresCluster, nodes: dict[str, Node]
) -> None:
    client = await Client.connect(nodes["frontend"].places["gRPC"])
    await locked_reads(database, nodes["history"], client)

    async def nobody_reads() -> bool:
        return await in_use(nodes["history"]) < READS

    await until_asked(nobody_reads)


async def test_a_database_that_is_away_and_back_is_told(
    database: PostgresCluster, nodes: dict[str, Node]
) -> None:
    node = nodes["history"]
    before = await told(node)
    assert before["host_health"] == 1
    assert before[f"{REFRESHES}failures"] == 0
    assert 0 < before[f"{POOL}open_conn"] == before[f"{REFRESHES}attempts"]
    database.halt()

    async def is_ill() -> bool:
        found = await told(node)
        return found["host_health"] == 2 and found[f"{REFRESHES}failures"] > 0

    await until_asked(is_ill)
    away = await told(node)
    assert away[f"{REFRESHES}attempts"] > before[f"{REFRESHES}attempts"]
    database.resume()

    async def is_well() -> bool:
        found = await told(node)
        return found["host_health"] == 1 and found[f"{POOL}open_conn"] > 0

    await until_asked(is_well)
    back = await told(node)
    made = back[f"{REFRESHES}attempts"] - back[f"{REFRESHES}failures"]
    assert made > before[f"{POOL}open_conn"], "those that came back were made anew"
