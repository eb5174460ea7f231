"""Search attributes of a namespace: adding, removing, listing, and who sees changes when."""

import asyncio
from typing import Any

from temporalio.api.operatorservice.v1 import request_response_pb2 as op
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.visibility.query import ValueType
from perdure.rpc.search_attributes import FRESH_SECONDS, SearchAttributeRegistry
from unit.frontend.invalid_requests import CUSTOM_ATTRIBUTES
from unit.frontend.world import Client, World, serving_frontend


async def custom(client: Client, namespace: str = "default") -> dict[str, int]:
    request = op.ListSearchAttributesRequest(namespace=namespace)
    response = await client.call("ListSearchAttributes", request)
    return dict(response.custom_attributes)


def adding(**types: int) -> op.AddSearchAttributesRequest:
    return op.AddSearchAttributesRequest(namespace="default", search_attributes=types)  # type: ignore[arg-type]


async def test_attributes_are_added_and_removed() -> None:
    async with serving_frontend() as (_, client):
        await client.call("AddSearchAttributes", adding(New=2, MyInt=2))
        # What exists keeps its type, and that is no error.
        assert await custom(client) == {**CUSTOM_ATTRIBUTES, "New": 2}
        removing = op.RemoveSearchAttributesRequest(
            namespace="default", search_attributes=["New", "Nope"]
        )
        await client.call("RemoveSearchAttributes", removing)
        assert await custom(client) == CUSTOM_ATTRIBUTES


async def test_attributes_belong_to_their_namespace() -> None:
    async with serving_frontend() as (world, client):
        await world.namespaces.ensure("other", retention_seconds=86_400)
        assert await custom(client, "other") == {}


async def test_a_namespace_has_as_many_of_a_type_as_it_likes() -> None:
    async with serving_frontend() as (_, client):
        many = {f"K{number}": 2 for number in range(60)} | {f"B{number}": 5 for number in range(9)}
        await client.call("AddSearchAttributes", adding(**many))
        assert await custom(client) == {**CUSTOM_ATTRIBUTES, **many}


async def test_nothing_of_a_request_that_is_refused_is_kept() -> None:
    async with serving_frontend() as (_, client):
        answer = await client.refusal("AddSearchAttributes", adding(A1=3, Untyped=0))
        assert answer.message == (
            "Unable to create search attributes: cannot have more than 0 search attribute of"
            " type Unspecified."
        )
        assert "A1" not in await custom(client)


async def test_the_systems_attributes_are_listed_too() -> None:
    async with serving_frontend() as (_, client):
        request = op.ListSearchAttributesRequest(namespace="default")
        listed: Any = await client.call("ListSearchAttributes", request)
        old: Any = await client.call("GetSearchAttributes", wf.GetSearchAttributesRequest())
    assert listed.system_attributes["ExecutionStatus"] == ValueType.KEYWORD.value
    assert listed.system_attributes["BuildIds"] == ValueType.KEYWORD_LIST.value
    assert dict(old.keys) == dict(listed.system_attributes)
    assert len(old.keys) == 33


async def test_a_change_by_another_node_is_seen_soon() -> None:
    world = World()
    await world.prepare()
    here, there = (
        SearchAttributeRegistry(metadata=world.store, clock=world.clock) for _ in range(2)
    )
    before = await here.types(world.default.id)
    await there.update(world.default.id, lambda types: types.update(New=ValueType.BOOL))
    assert await here.types(world.default.id) == before
    world.clock.advance(FRESH_SECONDS + 0.1)
    assert (await here.types(world.default.id))["New"] is ValueType.BOOL


async def test_changes_at_the_same_time_are_all_kept() -> None:
    world = World()
    await world.prepare()
    nodes = [SearchAttributeRegistry(metadata=world.store, clock=world.clock) for _ in range(4)]
    await asyncio.gather(
        *(
            node.update(world.default.id, lambda types, i=i: types.update({f"N{i}": ValueType.INT}))  # type: ignore[misc]
            for i, node in enumerate(nodes)
        )
    )
    world.clock.advance(FRESH_SECONDS + 0.1)
    assert {"N0", "N1", "N2", "N3"} <= set(await world.search_attributes.types(world.default.id))
