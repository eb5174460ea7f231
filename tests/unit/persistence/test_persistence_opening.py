"""The store that a configuration names is opened, and statements are loaded by name."""

import sys
from pathlib import Path

import pytest

from perdure.persistence.memory import MemoryStore
from perdure.persistence.opening import StoreKind, open_store
from perdure.persistence.ports import StartupError, Store
from perdure.persistence.postgres import PostgresStore
from perdure.persistence.sql_files import load_migrations, load_statements
from perdure.persistence.sqlite import SqliteStore
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from perdure.runtime.ports import Ids


@pytest.fixture
def ids() -> Ids:
    return SystemIds(clock=SystemClock())


@pytest.mark.parametrize(("kind", "store_type"), [("memory", MemoryStore), ("sqlite", SqliteStore)])
async def test_each_kind_opens_its_store(
    kind: StoreKind, store_type: type[Store], ids: Ids, tmp_path: Path
) -> None:
    store = await open_store(kind, ids=ids, path=str(tmp_path / "perdure.db"))
    assert isinstance(store, store_type)
    assert await store.cluster_id() != await store.incarnation()
    await store.close()
    assert (tmp_path / "perdure.db").exists() == (kind == "sqlite")


async def test_postgres_without_its_driver_says_what_to_install(
    ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PostgresStore.__module__.startswith("perdure.persistence.postgres")
    monkeypatch.setitem(sys.modules, "perdure.persistence.postgres", None)
    with pytest.raises(StartupError) as refused:
        await open_store("postgres", ids=ids, dsn="postgresql://127.0.0.1/perdure")
    expected = "The PostgreSQL store needs its driver: pip install 'perdure[postgres]'."
    assert str(refused.value) == expected


async def test_the_path_of_a_file_may_be_relative(
    ids: Ids, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await open_store("sqlite", ids=ids, path="perdure.db")
    await store.close()
    assert (tmp_path / "perdure.db").exists()


def test_statements_come_without_their_comments(tmp_path: Path) -> None:
    file = tmp_path / "statements.sql"
    file.write_text(
        "-- What stands before the first name belongs to nobody.\n"
        "-- name: read\n-- Reads a row.\n-- Rarely.\nSELECT id\nFROM rows\nWHERE id = ?;\n\n"
        "-- name: count\n-- Counts the rows: 'ä'.\nSELECT COUNT(*) FROM rows\n",
        encoding="utf-8",
    )
    assert load_statements(file) == {
        "read": "SELECT id\nFROM rows\nWHERE id = ?",
        "count": "SELECT COUNT(*) FROM rows",
    }


def test_migrations_start_at_one_and_other_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "README.sql").write_text("not numbered")
    assert load_migrations(tmp_path) == {}
    for number in range(1, 12):
        (tmp_path / f"{number:04}_step.sql").write_text(f"SELECT {number}")
    assert list(load_migrations(tmp_path)) == list(range(1, 12))
    (tmp_path / "0001_step.sql").unlink()
    with pytest.raises(ValueError, match="without gaps"):
        load_migrations(tmp_path)
