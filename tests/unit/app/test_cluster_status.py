"""`perdure cluster status` and `perdure shard list`, on a memory store behind a seam."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from perdure.app import reading
from perdure.app.cli import main
from perdure.core.slots import SLOT_COUNT
from perdure.persistence.ports import NodeState, Shard
from unit.app.stored_cluster import StoredCluster

HALF = SLOT_COUNT // 2


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> StoredCluster:
    made = StoredCluster()
    monkeypatch.setattr(reading, "opened", made.opened)
    return made


def perdure(*arguments: str) -> Result:
    command = [*arguments, "--dsn", "postgresql:///behind-the-seam"]
    return CliRunner().invoke(main, command, prog_name="perdure")


def as_json(*arguments: str) -> Any:
    return json.loads(perdure(*arguments, "--output", "json").stdout)


def test_a_cluster_that_is_well(cluster: StoredCluster) -> None:
    asyncio.run(cluster.fill())
    result = perdure("cluster", "status")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "store    memory, schema 7" in result.stdout
    assert "shards   2 of 2 with a live owner" in result.stdout
    found = as_json("cluster", "status")
    assert found["problems"] == []
    assert found["nodes"][1] == {
        "name": "west",
        "id": "w",
        "roles": ["frontend", "history", "matching"],
        "address": "[::1]:7234",
        "version": "1.2.3",
        "state": "up",
        "alive": True,
        "expired_seconds": 0,
        "renewed_seconds": 0,
        "shards": 1,
    }


def test_a_node_that_expired(cluster: StoredCluster) -> None:
    asyncio.run(cluster.fill())
    asyncio.run(cluster.let_west_expire())
    result = perdure("cluster", "status")
    assert result.exit_code == 3
    assert "expired 4 s ago" in result.stdout
    assert result.stderr == (
        f"1 of 2 shards have no live owner (slots {HALF}-{SLOT_COUNT - 1}): their workflows stand"
        " still until a history node takes them\n"
    )
    found = as_json("cluster", "status")
    assert (found["shards"], found["shards_owned"]) == (2, 1)
    assert [node["alive"] for node in found["nodes"]] == [True, False]


def test_a_role_that_nobody_serves(cluster: StoredCluster) -> None:
    asyncio.run(cluster.fill(roles="frontend,history"))
    result = perdure("cluster", "status")
    assert (result.exit_code, result.stderr) == (
        3,
        "no live node serves worker: start one that has the role\n",
    )


def test_a_draining_node_still_serves(cluster: StoredCluster) -> None:
    asyncio.run(cluster.fill())
    asyncio.run(cluster.store.renew_node("w", NodeState.DRAINING))
    assert as_json("cluster", "status")["nodes"][1]["state"] == "draining"
    assert perdure("cluster", "status").exit_code == 0


def test_an_empty_store(cluster: StoredCluster) -> None:
    found = as_json("cluster", "status")
    assert found["problems"][-1].startswith("there are no shards yet")
    assert len(found["problems"]) == 5


def test_the_shards(cluster: StoredCluster) -> None:
    asyncio.run(cluster.fill())
    asyncio.run(cluster.let_west_expire())
    result = perdure("shard", "list")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()[3:5]
    assert first.split() == ["0", str(HALF - 1), "east", "3", "up"]
    assert second.split() == [str(HALF), str(SLOT_COUNT - 1), "west", "4", "expired"]
    assert as_json("shard", "list")[0] == {
        "first_slot": 0,
        "last_slot": HALF - 1,
        "owner": "east",
        "owner_id": "e",
        "epoch": 3,
        "owner_state": "up",
    }


def test_shards_without_a_registered_owner(cluster: StoredCluster) -> None:
    async def lose() -> None:
        await cluster.fill()
        await cluster.store.release_shard(Shard(0, HALF - 1, "e", 3))
        await cluster.store.acquire_shard(HALF, SLOT_COUNT - 1, "stranger")

    asyncio.run(lose())
    states = [(shard["owner"], shard["owner_state"]) for shard in as_json("shard", "list")]
    assert states == [("", "nobody"), ("stranger", "gone")]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "say which store: one of --config, --dsn and --db-filename"),
        (["--dsn", "x", "--db-filename", "y"], "say which store"),
        (["--db-filename", "x.db"], "the SQLite file x.db belongs to its server"),
        (["--dsn", "postgresql:///x?host=/nowhere"], "The PostgreSQL database"),
    ],
)
def test_stores_that_cannot_be_read(arguments: list[str], expected: str) -> None:
    for command in (["cluster", "status"], ["shard", "list"]):
        result = CliRunner().invoke(main, [*command, *arguments])
        assert result.exit_code == 1
        assert expected in result.stderr
        assert isinstance(result.exception, SystemExit)
