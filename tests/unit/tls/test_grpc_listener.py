"""`verify --connect` against gRPC's own listener, as servers have it."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from unit.tls.tool import Tool

NODE, CLIENT = "internode-localhost", "client-default-w1"


@pytest.mark.parametrize("asks", [True, False])
def test_a_grpc_listener(made: Tool, asks: bool) -> None:
    made.issue("internode", "localhost")
    made.issue("client", "w1")
    credentials = grpc.ssl_server_credentials(
        [(made.key(NODE).read_bytes(), made.certificate(NODE).read_bytes())],
        root_certificates=made.trust.read_bytes() if asks else None,
        require_client_auth=asks,
    )
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        peer = f"127.0.0.1:{port}"
        client = ("--certificate", made.certificate(CLIENT), "--key", made.key(CLIENT))
        wrong = made.failures(*client, "--trust", made.trust, "--connect", f"{peer}=localhost")
        lets_in = f"anonymous of {peer}: accepts a client without a certificate"
        assert wrong == ([] if asks else [f"{lets_in}: set requireClientAuth"])
        waiting = made.json("rotate", "leaf", "--peer", f"{peer}=localhost", code=3)["waiting"]
        assert "which is not in use any more" in waiting
    finally:
        server.stop(None).wait()
