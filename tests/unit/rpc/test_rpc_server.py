"""The server around the handlers: its port, health, reflection, pings, and its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.persistence.ports import StartupError
from perdure.rpc.handler import RequestContext
from perdure.rpc.methods import PUBLIC_SERVICES
from perdure.rpc.server import RpcServer
from perdure.rpc.transport import TransportSettings
from perdure.runtime.deterministic import ManualClock
from unit.frontend.world import path_of_rpc

RPC = "GetSystemInfo"
PINGS = 5
PUBLIC = [service.full_name for service in PUBLIC_SERVICES]


async def answer(_request: Message, _context: RequestContext) -> Message:
    return wf.GetSystemInfoResponse(server_version="1")


@asynccontextmanager
async def server_on_a_port(
    transport: TransportSettings | None = None,
) -> AsyncIterator[tuple[RpcServer, int]]:
    server = RpcServer(
        handlers={path_of_rpc(RPC): answer}, clock=ManualClock(), transport=transport
    )
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.stop(0)


def channel_to(port: int, **arguments: int) -> grpc.aio.Channel:
    options = [(f"grpc.{name}", value) for name, value in arguments.items()]
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)


async def check_health(channel: grpc.aio.Channel, service: str) -> int:
    call = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    response = await call(health_pb2.HealthCheckRequest(service=service))
    return int(response.status)


async def test_a_busy_port_is_one_sentence() -> None:
    async with server_on_a_port() as (_, port):
        second = RpcServer(handlers={}, clock=ManualClock())
        with pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1:{port}: .*choose"):
            await second.start("127.0.0.1", port)
        await second.stop(0)


async def test_health_is_told_by_service_name() -> None:
    async with server_on_a_port() as (_, port), channel_to(port) as channel:
        for name in ("", *PUBLIC):
            assert await check_health(channel, name) == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check_health(channel, "nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "unknown service"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_and_describes_the_services(version: str) -> None:
    request = reflection_pb2.ServerReflectionRequest
    async with server_on_a_port() as (_, port), channel_to(port) as channel:
        call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=request.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(iter([request(list_services=""), request(file_containing_symbol=PUBLIC[0])]))
        listed, described = [response async for response in call]
    names = {service.name for service in listed.list_services_response.service}
    assert names == {
        *PUBLIC,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert described.file_descriptor_response.file_descriptor_proto


async def lives_through_pings(transport: TransportSettings, ping_ms: int) -> bool:
    """Tells whether an idle client's connection outlives several of its pings."""
    async with (
        server_on_a_port(transport) as (_, port),
        channel_to(
            port,
            keepalive_time_ms=ping_ms,
            keepalive_timeout_ms=5_000,
            keepalive_permit_without_calls=1,
            **{"http2.max_pings_without_data": 0},
        ) as channel,
    ):
        call = channel.unary_unary(path_of_rpc(RPC))
        await call(b"")
        state = channel.get_state()
        assert state is grpc.ChannelConnectivity.READY
        try:
            async with asyncio.timeout(PINGS * ping_ms / 1_000):
                await channel.wait_for_state_change(state)
        except TimeoutError:
            await call(b"")
            return True
        return False


async def test_idle_clients_may_ping_as_often_as_sdks_do() -> None:
    # A second stands for the 10 s of SDKs; gRPC does not ping more often.
    assert await lives_through_pings(TransportSettings(min_ping_seconds=1.0), 1_000)


async def test_clients_that_ping_too_often_are_sent_away() -> None:
    assert not await lives_through_pings(TransportSettings(min_ping_seconds=30.0), 1_000)


async def test_an_old_connection_goes_away_and_its_call_goes_on() -> None:
    transport = TransportSettings(max_age_seconds=0.2, max_age_grace_seconds=60.0)
    leave, arrived = asyncio.Event(), asyncio.Event()

    async def slow(_request: Message, _context: RequestContext) -> Message:
        arrived.set()
        await leave.wait()
        return wf.GetSystemInfoResponse(server_version="1")

    server = RpcServer(handlers={path_of_rpc(RPC): slow}, clock=ManualClock(), transport=transport)
    port = await server.start("127.0.0.1", 0)
    try:
        async with channel_to(port) as channel:
            call = channel.unary_unary(path_of_rpc(RPC))(b"")
            await arrived.wait()
            ready = grpc.ChannelConnectivity.READY
            async with asyncio.timeout(30):
                while channel.get_state() is ready:
                    await channel.wait_for_state_change(ready)
            leave.set()
            assert wf.GetSystemInfoResponse.FromString(await call).server_version == "1"
            # The next call makes a new connection.
            again = await channel.unary_unary(path_of_rpc(RPC))(b"")
            assert wf.GetSystemInfoResponse.FromString(again).server_version == "1"
    finally:
        await server.stop(0)


async def test_a_server_that_stops_lets_calls_finish_and_says_so_first() -> None:
    leave, arrived = asyncio.Event(), asyncio.Event()

    async def slow(_request: Message, _context: RequestContext) -> Message:
        arrived.set()
        await leave.wait()
        return wf.GetSystemInfoResponse(server_version="1")

    server = RpcServer(handlers={path_of_rpc(RPC): slow}, clock=ManualClock())
    port = await server.start("127.0.0.1", 0)
    async with channel_to(port) as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        call = channel.unary_unary(path_of_rpc(RPC))(b"")
        await arrived.wait()
        stopping = asyncio.ensure_future(server.stop(30))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        leave.set()
        assert wf.GetSystemInfoResponse.FromString(await call).server_version == "1"
        await stopping


async def test_a_server_that_disconnects_lets_calls_finish_and_refuses_others() -> None:
    leave, arrived = asyncio.Event(), asyncio.Event()

    async def slow(_request: Message, _context: RequestContext) -> Message:
        arrived.set()
        await leave.wait()
        return wf.GetSystemInfoResponse(server_version="1")

    server = RpcServer(handlers={path_of_rpc(RPC): slow}, clock=ManualClock())
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with channel_to(port) as channel:
        call = channel.unary_unary(path_of_rpc(RPC))(b"")
        await arrived.wait()
        stopping = asyncio.ensure_future(server.stop(30, disconnect=True))
        assert await refusal(channel) == "this server is stopping, try again"
        assert not stopping.done()
        leave.set()
        assert wf.GetSystemInfoResponse.FromString(await call).server_version == "1"
        await stopping
    async with asyncio.timeout(30):
        while await reader.read(65_536):
            continue
    writer.close()


async def refusal(channel: grpc.aio.Channel) -> str | None:
    """Calls until a call is refused; returns what is said then. Earlier calls go on."""
    while True:
        call = channel.unary_unary(path_of_rpc(RPC))(b"", timeout=0.2)
        if await call.code() is grpc.StatusCode.UNAVAILABLE:
            return await call.details()


async def test_a_server_does_not_wait_for_ever_before_it_disconnects() -> None:
    arrived = asyncio.Event()

    async def endless(_request: Message, _context: RequestContext) -> Message:
        arrived.set()
        return await asyncio.Future()

    server = RpcServer(handlers={path_of_rpc(RPC): endless}, clock=ManualClock())
    port = await server.start("127.0.0.1", 0)
    async with channel_to(port) as channel:
        call = channel.unary_unary(path_of_rpc(RPC))(b"")
        await arrived.wait()
        await server.stop(0, disconnect=True)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
    # What SDKs make anew, as CANCELLED is not.
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_is_dead_is_noticed_by_pings() -> None:
    transport = TransportSettings(keepalive_seconds=0.05, keepalive_timeout_seconds=0.05)
    async with server_on_a_port(transport) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        # The preface and an empty SETTINGS frame make the connection; pings are not answered.
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
        async with asyncio.timeout(30):
            while await reader.read(65_536):
                continue
        writer.close()


async def test_a_server_that_never_started_may_be_stopped() -> None:
    await RpcServer(handlers={}, clock=ManualClock()).stop(0)
