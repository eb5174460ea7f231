"""Files that must not be used: one sentence each, that says the fix."""

import fcntl
import os
import re
import sqlite3
from pathlib import Path

import pytest

from contract.rows import NAMESPACE, commit_all, start, whole_shard
from contract.users import as_nobody
from perdure.persistence.opening import open_store
from perdure.persistence.ports import StartupError, Store
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds


async def opened(path: Path) -> Store:
    return await open_store("sqlite", ids=SystemIds(clock=SystemClock()), path=str(path))


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def refusal(path: Path) -> str:
    """Returns the sentence with which a file is refused."""
    with pytest.raises(StartupError) as caught:
        await opened(path)
    sentence = str(caught.value)
    assert re.fullmatch(r"[A-Z][^\n]*: [^\n]*\.", sentence)
    assert str(path.parent) in sentence
    return sentence


async def test_a_second_server_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    first = await opened(tmp_path / "perdure.db")
    (tmp_path / "link.db").symlink_to(tmp_path / "perdure.db")
    assert "in use by another Perdure server" in await refusal(tmp_path / "perdure.db")
    assert "in use by another Perdure server" in await refusal(tmp_path / "link.db")
    await first.close()
    second = await opened(tmp_path / "link.db")
    await second.close()


async def test_a_refused_file_is_free_again(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    path.write_bytes(b"no database " * 1_000)
    assert "not a usable SQLite database" in await refusal(path)
    path.unlink()
    await (await opened(path)).close()


async def test_a_missing_folder(tmp_path: Path) -> None:
    assert "does not exist" in await refusal(tmp_path / "missing" / "perdure.db")


async def test_a_folder_in_the_file_s_place(tmp_path: Path) -> None:
    (tmp_path / "perdure.db").mkdir()
    assert "is a folder" in await refusal(tmp_path / "perdure.db")


async def test_the_database_of_another_application(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE runs (id)")
    connection.close()
    assert "another application" in await refusal(tmp_path / "other.db")


async def test_a_newer_schema(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    await (await opened(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    sentence = await refusal(path)
    assert "schema version 999" in sentence
    assert "restore the backup" in sentence


async def test_a_file_that_another_program_holds(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    await (await opened(path)).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    assert "locked by another program" in await refusal(path)
    holder.close()
    await (await opened(path)).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_file_that_this_user_may_not_write(tmp_path: Path) -> None:
    path = tmp_path / "perdure.db"
    await (await opened(path)).close()
    with as_nobody(tmp_path):
        sentence = await refusal(path)
    assert "cannot be opened for writing" in sentence


async def test_a_store_keeps_what_it_had_and_who_it_is(tmp_path: Path) -> None:
    store = await opened(tmp_path / "perdure.db")
    names = (await store.cluster_id(), await store.incarnation())
    shard = await whole_shard(store)
    await commit_all(store, start(shard, "run-1"))
    await store.close()
    again = await opened(tmp_path / "perdure.db")
    assert names == (await again.cluster_id(), await again.incarnation())
    run = await again.load_current(NAMESPACE, "workflow")
    assert run is not None
    assert run.key.run_id == "run-1"
    await commit_all(again, start(shard, "run-2", "other workflow"))
    assert (await whole_shard(again)).epoch > shard.epoch
    await again.close()


async def test_a_closed_store_leaves_no_log(tmp_path: Path) -> None:
    store = await opened(tmp_path / "perdure.db")
    await commit_all(store, start(await whole_shard(store), "run-1"))
    await store.close()
    await store.close()
    assert files(tmp_path) == ["perdure.db", "perdure.db.lock"]
    with (tmp_path / "perdure.db.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
