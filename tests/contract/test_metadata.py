"""Namespaces and documents: compare-and-set by version."""

import asyncio

from perdure.persistence.ports import NamespaceRow, Store


async def test_namespaces_are_listed_by_name(store: Store) -> None:
    rows = [NamespaceRow(f"id-{name}", name, 1, name.encode()) for name in ("b", "B", "é", "a")]
    for row in rows:
        assert await store.create_namespace(row)
    assert [row.name for row in await store.list_namespaces()] == ["B", "a", "b", "é"]
    assert set(await store.list_namespaces()) == set(rows)


async def test_a_taken_name_or_id_is_refused(store: Store) -> None:
    assert await store.create_namespace(NamespaceRow("id-1", "name-1", 1, b"first"))
    assert not await store.create_namespace(NamespaceRow("id-2", "name-1", 1, b""))
    assert not await store.create_namespace(NamespaceRow("id-1", "name-2", 1, b""))
    assert await store.list_namespaces() == [NamespaceRow("id-1", "name-1", 1, b"first")]


async def test_only_the_next_version_replaces(store: Store) -> None:
    await store.create_namespace(NamespaceRow("id", "name", 1, b"1"))
    assert not await store.update_namespace(NamespaceRow("id", "name", 1, b""))
    assert not await store.update_namespace(NamespaceRow("id", "name", 3, b""))
    assert not await store.update_namespace(NamespaceRow("other", "name", 2, b""))
    assert await store.update_namespace(NamespaceRow("id", "renamed", 2, b"2"))
    assert await store.list_namespaces() == [NamespaceRow("id", "renamed", 2, b"2")]


async def test_a_namespace_cannot_take_the_name_of_another(store: Store) -> None:
    await store.create_namespace(NamespaceRow("id-1", "name-1", 1, b""))
    await store.create_namespace(NamespaceRow("id-2", "name-2", 1, b""))
    assert not await store.update_namespace(NamespaceRow("id-2", "name-1", 2, b""))
    assert len(await store.list_namespaces()) == 2


async def test_of_updates_at_once_one_succeeds(store: Store) -> None:
    await store.create_namespace(NamespaceRow("id", "name", 1, b""))
    answers = await asyncio.gather(
        *(store.update_namespace(NamespaceRow("id", "name", 2, bytes([n]))) for n in range(8))
    )
    assert sum(answers) == 1


async def test_documents_are_compared_and_set(store: Store) -> None:
    assert await store.get_document("attributes") is None
    assert not await store.put_document("attributes", 2, b"")
    assert await store.put_document("attributes", 1, b"one")
    assert not await store.put_document("attributes", 1, b"again")
    assert not await store.put_document("attributes", 3, b"")
    assert await store.put_document("attributes", 2, b"two")
    assert await store.get_document("attributes") == (2, b"two")
    assert await store.get_document("other") is None


async def test_of_documents_at_once_one_is_first(store: Store) -> None:
    answers = await asyncio.gather(*(store.put_document("d", 1, bytes([n])) for n in range(8)))
    assert sum(answers) == 1


async def test_a_namespace_is_deleted_in_the_version_that_is_named(store: Store) -> None:
    await store.create_namespace(NamespaceRow("id", "name", 1, b""))
    assert not await store.delete_namespace("id", 2)
    assert not await store.delete_namespace("other", 1)
    assert await store.delete_namespace("id", 1)
    assert not await store.delete_namespace("id", 1)
    assert await store.list_namespaces() == []
    assert await store.create_namespace(NamespaceRow("id", "name", 1, b""))
