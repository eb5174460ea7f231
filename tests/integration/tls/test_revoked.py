"""Those whose certificate was revoked: on new connections, on open ones, in calls under way."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from authority import Issued, replace
from integration.tls.ports import POLL, World, answer_to, ask, channel, serving
from waiting import until

OK, REVOKED = grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED
SPIFFE_ID = "spiffe://example.com/ns/orders/role/application-worker/host/w1"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    path = tmp_path / "denied.json"
    write(path)
    async with serving(tmp_path, tls={"denyFile": str(path)}) as made:
        yield made


def write(path: Path, *serials: str, spiffe_ids: tuple[str, ...] = ()) -> None:
    told = {"serials": serials, "spiffeIds": spiffe_ids, "comment": "of a newer version"}
    replace(path, json.dumps(told).encode())


async def revoke(world: World, *issued: Issued, spiffe_ids: tuple[str, ...] = ()) -> None:
    write(world.folder / "denied.json", *(each.serial for each in issued), spiffe_ids=spiffe_ids)
    await world.reload()


async def test_a_serial_is_refused_on_new_and_open_connections(world: World) -> None:
    revoked, other = world.authority.issue(), world.authority.issue()
    async with channel(world, revoked) as kept, channel(world, other) as others:
        assert await ask(kept) is OK
        await revoke(world, revoked)
        assert await ask(kept) is REVOKED
        assert await ask(others) is OK
    assert await answer_to(world, revoked) is REVOKED
    assert await answer_to(world, other) is OK


async def test_a_spiffe_id_is_refused_whatever_its_certificate(world: World) -> None:
    first, second = (world.authority.issue(spiffe=SPIFFE_ID) for _ in range(2))
    other = world.authority.issue(spiffe=f"{SPIFFE_ID}2")
    await revoke(world, spiffe_ids=(SPIFFE_ID,))
    assert await answer_to(world, first) is REVOKED
    assert await answer_to(world, second) is REVOKED
    assert await answer_to(world, other) is OK


async def test_who_is_taken_off_the_list_is_let_in_again(world: World) -> None:
    client = world.authority.issue()
    await revoke(world, client)
    async with channel(world, client) as kept:
        assert await ask(kept) is REVOKED
        await revoke(world)
        assert await ask(kept) is OK


async def test_a_poll_under_way_ends_at_once(world: World) -> None:
    revoked, other = world.authority.issue(), world.authority.issue()
    async with channel(world, revoked) as theirs, channel(world, other) as ours:
        ended = asyncio.create_task(ask(theirs, POLL))
        staying = asyncio.create_task(ask(ours, POLL))
        await until(lambda: world.polls == 2)
        await revoke(world, revoked)
        assert await ended is REVOKED
        await until(lambda: world.polls == 1)
        assert not staying.done()
        staying.cancel()


async def test_a_client_that_hangs_up_is_no_refusal(world: World) -> None:
    client = world.authority.issue()
    async with channel(world, client) as kept:
        call = asyncio.create_task(ask(kept, POLL))
        await until(lambda: world.polls == 1)
        call.cancel()
        await until(lambda: world.polls == 0)
        assert await ask(kept) is OK


async def test_health_and_reflection_are_behind_the_gate(world: World) -> None:
    client = world.authority.issue()
    async with channel(world, client) as kept:
        health: Any = health_pb2_grpc.HealthStub(kept)
        untyped: Any = kept
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(untyped)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        listed = [each async for each in reflection.ServerReflectionInfo(asked())]
        assert len(listed) == 1
        await revoke(world, client)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await watch.read()
        assert ended.value.code() is REVOKED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await health.Check(health_pb2.HealthCheckRequest())
        assert refused.value.code() is REVOKED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reflection.ServerReflectionInfo(asked()).read()
        assert refused.value.code() is REVOKED
        assert await ask(kept, "/temporal.api.workflowservice.v1.WorkflowService/X") is REVOKED


async def asked() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
    yield reflection_pb2.ServerReflectionRequest(list_services="")
