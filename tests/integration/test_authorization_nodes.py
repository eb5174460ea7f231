"""The port for nodes, on a node with TLS and an authorizer: a client's certificate is none."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from authority import Authority
from integration.role_nodes import database_server
from perdure.app.node import start_node
from perdure.config.settings import Values
from perdure.config.static import ServerConfig
from perdure.persistence.postgres.administration import setup
from perdure.rpc.internode.wire import HISTORY_SERVICE, MATCHING_SERVICE
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

NODE = "spiffe://example.com/ns/temporal-system/role/internode/host/h1"
CLIENTS = (
    "spiffe://example.com/ns/temporal-system/role/admin/host/desk-2",
    "spiffe://example.com/ns/orders/role/worker/host/w1",
    "spiffe://example.org/ns/temporal-system/role/internode/host/h1",
    "",
)


def configuration(folder: Path, dsn: str) -> ServerConfig:
    group = {
        "server": {
            "certFile": str(folder / "certificate.pem"),
            "keyFile": str(folder / "key.pem"),
            "clientCaFiles": [str(folder / "trust.pem")],
            "requireClientAuth": True,
        },
        "client": {"rootCaFiles": [str(folder / "trust.pem")]},
    }
    return ServerConfig.model_validate(
        {
            "listeners": {"grpc": {"port": 0}, "internode": {"port": 0}},
            "node": {"name": "a", "drain_seconds": 0.0},
            "store": {"kind": "postgres", "dsn": dsn},
            "global": {
                "tls": {"frontend": group, "internode": group},
                "authorization": {
                    "authorizer": "default",
                    "claimMapper": "default",
                    "certificates": {"trustDomain": "example.com"},
                },
            },
        }
    )


@pytest.mark.postgres
async def test_only_nodes_are_answered(tmp_path: Path) -> None:
    authority = Authority("root")
    authority.issue(spiffe=NODE).write(tmp_path)
    (tmp_path / "trust.pem").write_bytes(authority.pem)
    with database_server() as server:
        dsn = server.create_database()
        await setup(dsn, ids=SystemIds(clock=SystemClock()), say=lambda _: None)
        async with AsyncExitStack() as parts:
            node = await start_node(configuration(tmp_path, dsn), Values(), parts)
            await node.ready()
            for shown in CLIENTS:
                codes = await codes_of(node.places["Nodes"], authority, shown)
                assert codes == {grpc.StatusCode.PERMISSION_DENIED}, shown
            codes = await codes_of(node.places["Nodes"], authority, NODE)
            assert grpc.StatusCode.PERMISSION_DENIED not in codes


async def codes_of(address: str, authority: Authority, spiffe: str) -> set[grpc.StatusCode]:
    """Returns how every call between nodes ends, of one who shows a certificate."""
    shown = authority.issue(spiffe=spiffe)
    credentials = grpc.ssl_channel_credentials(authority.pem, shown.key, shown.chain)
    codes = set()
    async with grpc.aio.secure_channel(address, credentials) as channel:
        for service in (HISTORY_SERVICE, MATCHING_SERVICE):
            for method in service.methods:
                call: Any = channel.unary_unary(f"/{service.full_name}/{method.name}")
                codes.add(await call(b"", timeout=20).code())
    return codes
