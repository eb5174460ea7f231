"""A node finds out by itself that nobody can reach it."""

import socket

import pytest

from perdure.persistence.ports import StartupError
from perdure.rpc.internode.reach import check_reachable
from perdure.rpc.server import RpcServer
from perdure.runtime.clock import SystemClock


async def test_an_address_that_leads_to_a_server_is_fine() -> None:
    server = RpcServer(handlers={}, services=(), clock=SystemClock())
    port = await server.start("127.0.0.1", 0, serving=False)
    try:
        await check_reachable(f"127.0.0.1:{port}")
    finally:
        await server.stop(0)


async def test_an_address_that_leads_to_another_node_is_refused() -> None:
    server = RpcServer(handlers={}, services=(), clock=SystemClock(), identity="another")
    port = await server.start("127.0.0.1", 0, serving=False)
    try:
        await check_reachable(f"127.0.0.1:{port}", identity="another")
        with pytest.raises(StartupError, match=r"another node answers at .*: set listeners\."):
            await check_reachable(f"127.0.0.1:{port}", identity="this")
    finally:
        await server.stop(0)


async def test_an_address_where_nobody_listens_is_refused_with_the_fix() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartupError, match=r"cannot be reached at .*set listeners\.internode"):
            await check_reachable(address, seconds=0.2)


async def test_a_name_that_nobody_knows_is_refused() -> None:
    with pytest.raises(StartupError, match=r"cannot be reached at nobody\.invalid:7234"):
        await check_reachable("nobody.invalid:7234", seconds=0.2)
