"""Namespaces: registering, describing, changing, listing, and the cache that all roles share."""

import asyncio
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import namespace_pb2 as enums
from temporalio.api.errordetails.v1.message_pb2 import NamespaceAlreadyExistsFailure
from temporalio.api.namespace.v1.message_pb2 import (
    BadBinaries,
    BadBinaryInfo,
    NamespaceConfig,
    NamespaceFilter,
    UpdateNamespaceInfo,
)
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code, NamespaceNotFoundError, UnavailableError
from perdure.persistence.ports import NamespaceRow
from perdure.rpc.clients import Namespace
from perdure.rpc.namespaces import MISS_INTERVAL_SECONDS, NamespaceRegistry
from unit.frontend.world import Client, World, serving_frontend

DAY = 86_400
NOT_GLOBAL = (
    "global namespace is not enabled on this cluster, cannot update global namespace or promote"
    " local namespace: default"
)


async def register(client: Client, name: str, **fields: Any) -> None:
    request = wf.RegisterNamespaceRequest(
        namespace=name, workflow_execution_retention_period=Duration(seconds=DAY), **fields
    )
    await client.call("RegisterNamespace", request)


async def describe(client: Client, **fields: Any) -> Any:
    return await client.call("DescribeNamespace", wf.DescribeNamespaceRequest(**fields))


async def names_of(client: Client, **fields: Any) -> tuple[list[str], bytes]:
    response = await client.call("ListNamespaces", wf.ListNamespacesRequest(**fields))
    names = [found.namespace_info.name for found in response.namespaces]
    return names, response.next_page_token


async def test_a_new_namespace_is_described_as_by_the_real_server() -> None:
    async with serving_frontend() as (_, client):
        await register(client, "new one", description="d", owner_email="o", data={"k": "v"})
        described = await describe(client, namespace="new one")
        assert await describe(client, id=described.namespace_info.id) == described
    info, config = described.namespace_info, described.config
    assert (info.name, info.state) == ("new one", enums.NAMESPACE_STATE_REGISTERED)
    assert (info.description, info.owner_email, dict(info.data)) == ("d", "o", {"k": "v"})
    assert info.limits.blob_size_limit_error == info.limits.memo_size_limit_error == 2 << 20
    announced = {field.name for field, _ in info.capabilities.ListFields()}
    assert announced == {
        "sync_update",
        "async_update",
        "worker_heartbeats",
        "eager_workflow_start",
    }
    assert config.workflow_execution_retention_ttl.seconds == DAY
    assert config.history_archival_state == enums.ARCHIVAL_STATE_DISABLED
    assert config.visibility_archival_state == enums.ARCHIVAL_STATE_DISABLED
    assert described.replication_config.active_cluster_name == "active"
    assert [cluster.cluster_name for cluster in described.replication_config.clusters] == ["active"]


async def test_a_name_is_taken_once() -> None:
    async with serving_frontend() as (_, client):
        await register(client, "mine")
        request = wf.RegisterNamespaceRequest(
            namespace="mine", workflow_execution_retention_period=Duration(seconds=DAY)
        )
        answer = await client.refusal("RegisterNamespace", request)
    assert answer.code is Code.ALREADY_EXISTS
    assert answer.message == 'Namespace "mine" already exists'
    assert answer.detail(NamespaceAlreadyExistsFailure) is not None


async def test_an_update_changes_what_it_names() -> None:
    async with serving_frontend() as (_, client):
        await register(client, "mine", description="old", data={"a": "1"})
        request = wf.UpdateNamespaceRequest(
            namespace="mine",
            update_info=UpdateNamespaceInfo(owner_email="me", data={"b": "2"}),
            config=NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=7_200)),
        )
        response = await client.call("UpdateNamespace", request)
        described = await describe(client, namespace="mine")
    info = described.namespace_info
    assert (info.description, info.owner_email) == ("old", "me")
    assert dict(info.data) == {"a": "1", "b": "2"}
    assert described.config.workflow_execution_retention_ttl.seconds == 7_200
    assert response.namespace_info == info
    assert response.config == described.config


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        (
            {"config": NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=60))},
            Code.INVALID_ARGUMENT,
            "A valid retention period is not set on request.",
        ),
        (
            {"delete_bad_binary": "x"},
            Code.INVALID_ARGUMENT,
            "Bad binary checksum x doesn't exists.",
        ),
        (
            {"promote_namespace": True},
            Code.INVALID_ARGUMENT,
            NOT_GLOBAL,
        ),
        (
            {"update_info": UpdateNamespaceInfo(state=9)},  # type: ignore[arg-type]
            Code.INVALID_ARGUMENT,
            "Invalid namespace state update.",
        ),
        (
            {
                "config": NamespaceConfig(
                    bad_binaries=BadBinaries(binaries={str(i): BadBinaryInfo() for i in range(11)})
                )
            },
            Code.INVALID_ARGUMENT,
            "Total resetBinaries cannot exceed the max limit: 10",
        ),
        (
            {"config": NamespaceConfig(bad_binaries=BadBinaries(binaries={"x": BadBinaryInfo()}))},
            Code.UNIMPLEMENTED,
            "bad binaries are not implemented by this server",
        ),
    ],
)
async def test_an_update_may_be_refused(fields: dict[str, Any], code: Code, message: str) -> None:
    async with serving_frontend() as (_, client):
        before = await describe(client, namespace="default")
        request = wf.UpdateNamespaceRequest(namespace="default", **fields)
        answer = await client.refusal("UpdateNamespace", request)
        assert (answer.code, answer.message) == (code, message)
        assert await describe(client, namespace="default") == before


async def test_a_state_only_moves_on() -> None:
    async with serving_frontend() as (_, client):
        await register(client, "mine")
        for state in (enums.NAMESPACE_STATE_DEPRECATED, enums.NAMESPACE_STATE_DELETED):
            info = UpdateNamespaceInfo(state=state)
            request = wf.UpdateNamespaceRequest(namespace="mine", update_info=info)
            await client.call("UpdateNamespace", request)
            assert (await describe(client, namespace="mine")).namespace_info.state == state
        info = UpdateNamespaceInfo(state=enums.NAMESPACE_STATE_REGISTERED)
        request = wf.UpdateNamespaceRequest(namespace="mine", update_info=info)
        answer = await client.refusal("UpdateNamespace", request)
        assert answer.message == "Invalid namespace state update."
        assert "mine" not in (await names_of(client))[0]
        everything = NamespaceFilter(include_deleted=True)
        assert "mine" in (await names_of(client, namespace_filter=everything))[0]


async def test_a_deprecated_namespace_says_so() -> None:
    async with serving_frontend() as (_, client):
        await client.call("DeprecateNamespace", wf.DeprecateNamespaceRequest(namespace="default"))
        described = await describe(client, namespace="default")
    assert described.namespace_info.state == enums.NAMESPACE_STATE_DEPRECATED


async def test_namespaces_are_listed_in_pages() -> None:
    async with serving_frontend() as (_, client):
        for number in range(4):
            await register(client, f"n{number}")
        listed, token, pages = [], b"", 0
        while token or not pages:
            names, token = await names_of(client, page_size=2, next_page_token=token)
            listed += names
            pages += 1
        assert pages == 3
        assert sorted(listed) == ["default", "n0", "n1", "n2", "n3"]
        answer = await client.refusal("ListNamespaces", wf.ListNamespacesRequest(page_size=-1))
        assert answer.code is Code.UNKNOWN


async def test_a_namespace_made_by_another_node_is_found() -> None:
    async with serving_frontend() as (world, client):
        other = NamespaceRegistry(metadata=world.store, clock=world.clock, ids=world.ids)
        await other.ensure("theirs", retention_seconds=DAY)
        world.clock.advance(MISS_INTERVAL_SECONDS)
        described = await describe(client, namespace="theirs")
        assert described.namespace_info.name == "theirs"


class CountingStore:
    """A store of namespaces that counts reads, and can let one wait."""

    def __init__(self) -> None:
        self.rows: list[NamespaceRow] = []
        self.reads = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def list_namespaces(self) -> list[NamespaceRow]:
        self.reads += 1
        await self.go_on.wait()
        return self.rows

    async def update_namespace(self, _row: NamespaceRow) -> bool:
        return False


def registry_over(store: CountingStore, world: World) -> NamespaceRegistry:
    return NamespaceRegistry(metadata=store, clock=world.clock, ids=world.ids)  # type: ignore[arg-type]


async def test_unknown_names_do_not_flood_the_store() -> None:
    world, store = World(), CountingStore()
    registry = registry_over(store, world)

    async def miss(name: str) -> None:
        with pytest.raises(NamespaceNotFoundError):
            await registry.resolve(name)

    store.go_on.clear()
    together = asyncio.gather(*(miss(f"n{number}") for number in range(50)))
    impatient = asyncio.ensure_future(registry.resolve("n"))
    await asyncio.sleep(0)
    impatient.cancel()
    store.go_on.set()
    await together
    assert store.reads == 1
    await miss("another")
    assert store.reads == 1
    world.clock.advance(MISS_INTERVAL_SECONDS)
    await miss("another")
    assert store.reads == 2


async def test_updates_that_always_lose_give_up() -> None:
    world, store = World(), CountingStore()
    store.rows = [NamespaceRow("id", "mine", 1, b"")]
    registry = registry_over(store, world)
    namespace = await registry.resolve("mine")
    with pytest.raises(UnavailableError):
        await registry.update(namespace, lambda _: None)


async def test_updates_at_the_same_time_are_all_kept() -> None:
    world = World()
    await world.prepare()
    nodes = [
        NamespaceRegistry(metadata=world.store, clock=world.clock, ids=world.ids) for _ in range(4)
    ]

    async def note(number: int) -> None:
        def change(current: wf.DescribeNamespaceResponse) -> None:
            current.namespace_info.data[str(number)] = "noted"

        await nodes[number].update(world.default, change)

    await asyncio.gather(*(note(number) for number in range(4)))
    await world.namespaces.refresh()
    data = world.namespaces.describe(world.default).namespace_info.data
    assert set(data) == {"0", "1", "2", "3"}
    # An old read must not bring an old row back.
    await nodes[0].refresh()
    assert set(nodes[0].describe(world.default).namespace_info.data) == set(data)


async def test_ensuring_a_namespace_twice_makes_it_once() -> None:
    world = World()
    first = await world.namespaces.ensure("mine", retention_seconds=DAY)
    other = NamespaceRegistry(metadata=world.store, clock=world.clock, ids=world.ids)
    assert await other.ensure("mine", retention_seconds=DAY) == first
    system = await other.ensure_system()
    assert system == Namespace("32049b68-7872-4094-8e63-d0dd59896a83", "temporal-system")
    assert await world.namespaces.ensure_system() == system
    ids = {row.name: row.id for row in other.rows()}
    assert ids == {"mine": first.id, "temporal-system": system.id}
