"""A whole server with an authorizer: real requests with tokens and with certificates over TLS."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from authority import Authority
from perdure.access.methods import RULES, Access, Scope
from perdure.app.node import Node, start_node
from perdure.config.settings import Values
from perdure.config.static import ServerConfig
from perdure.rpc.methods import Method, public_methods
from perdure.telemetry import server_catalogue as catalogue
from unit.access.issuing import Issuer, ec_key, http_server
from waiting import until, until_asked

OWN, OTHER = "orders", "billing"
DOMAIN = "example.com"
METHODS = {method.name: method for method in public_methods()}
FOREVER: dict[str, Any] = {"exp": 4_000_000_000}
REFUSED = "refused"
UNIMPLEMENTED = "UNIMPLEMENTED"


@asynccontextmanager
async def server(authorization: dict[str, Any], tls: dict[str, Any]) -> AsyncIterator[Node]:
    config = ServerConfig.model_validate(
        {
            "listeners": {"grpc": {"port": 0}},
            "metrics": {},
            "namespaces": [OWN, OTHER],
            "global": {
                "tls": tls,
                "authorization": {
                    "authorizer": "default",
                    "claimMapper": "default",
                    "certificates": {"trustDomain": DOMAIN},
                    **authorization,
                },
            },
        }
    )
    async with AsyncExitStack() as parts:
        yield await start_node(config, Values(), parts)


async def outcome(
    channel: grpc.aio.Channel, method: Method, request: Message, header: str = ""
) -> str:
    """Makes a call; returns the name of its status, or that the guard refused it."""
    call: Any = channel.unary_unary(method.path)
    metadata = [("authorization", header)] if header else []
    try:
        await call(request.SerializeToString(), timeout=20, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        failure = error
    else:
        return "OK"
    if failure.details() != "Request unauthorized.":
        return failure.code().name
    assert failure.code() is grpc.StatusCode.PERMISSION_DENIED
    packed = dict(failure.trailing_metadata())["grpc-status-details-bin"]
    status = Status.FromString(packed if isinstance(packed, bytes) else packed.encode())
    (detail,) = status.details
    assert detail.type_url.endswith("/temporal.api.errordetails.v1.PermissionDeniedFailure")
    assert detail.value == b"", "no reason is given"
    return REFUSED


def request_of(method: Method, namespace: str = OWN) -> Message:
    """Returns a request that names a namespace, and is refused for what else it says."""
    request = method.parse(b"")
    if method.names_namespace:
        request.namespace = namespace  # type: ignore[attr-defined]
    return request


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def key_sources(issuer: Issuer) -> Iterator[dict[str, Any]]:
    with http_server(issuer.published) as published:
        yield {"jwtKeyProvider": {"keySourceURIs": [published.url]}}


@pytest.fixture
async def node(key_sources: dict[str, Any]) -> AsyncIterator[Node]:
    async with server(key_sources, {}) as node:
        yield node


@pytest.fixture
async def channel(node: Node) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(node.places["gRPC"]) as channel:
        yield channel


async def test_nobody_calls_anything_without_a_token(channel: grpc.aio.Channel) -> None:
    for method in METHODS.values():
        code = await outcome(channel, method, request_of(method))
        is_open = RULES[method.path].access is Access.OPEN
        # Nobody is asked about what does not exist here.
        assert (code != REFUSED) is (is_open or code == UNIMPLEMENTED), (method.name, code)


@pytest.mark.parametrize(
    ("permissions", "accesses", "works"),
    [
        (["orders:worker"], set(), True),
        (["orders:read"], {Access.READ}, False),
        (["orders:write"], {Access.READ, Access.WRITE}, True),
    ],
)
async def test_roles_reach_what_the_table_says(
    channel: grpc.aio.Channel,
    issuer: Issuer,
    permissions: list[str],
    accesses: set[Access],
    works: bool,
) -> None:
    header = issuer.header(permissions, **FOREVER)
    for method in METHODS.values():
        rule = RULES[method.path]
        if rule.scope is not Scope.NAMESPACE:
            continue
        for namespace in (OWN, OTHER):
            code = await outcome(channel, method, request_of(method, namespace), header)
            allowed = rule.access in accesses or (works and rule.by_workers)
            expected = (namespace == OWN and allowed) or code == UNIMPLEMENTED
            assert (code != REFUSED) is expected, (method.name, namespace, code)


async def test_administration_and_what_is_listed(
    node: Node, channel: grpc.aio.Channel, issuer: Issuer
) -> None:
    register = wf.RegisterNamespaceRequest(namespace="returns")
    register.workflow_execution_retention_period.seconds = 86_400
    admin = issuer.header(["returns:admin", "orders:read"], **FOREVER)
    with capture_logs() as lines:
        assert await outcome(channel, METHODS["RegisterNamespace"], register, admin) == "OK"
        other = wf.RegisterNamespaceRequest(namespace="elsewhere")
        assert await outcome(channel, METHODS["RegisterNamespace"], other, admin) == REFUSED
        request = operator.ListClustersRequest()
        assert await outcome(channel, METHODS["ListClusters"], request, admin) in {
            REFUSED,
            UNIMPLEMENTED,
        }
    audited = [line for line in lines if line.get("component") == "audit"]
    assert [(line["namespace"], line["outcome"]) for line in audited[:2]] == [
        ("returns", "done"),
        ("elsewhere", "refused"),
    ]
    assert {name async for name in listed(channel, admin)} == {"orders", "returns"}
    system = issuer.header(["temporal-system:read"], **FOREVER)
    assert {OWN, OTHER, "temporal-system"} <= {name async for name in listed(channel, system)}


async def listed(channel: grpc.aio.Channel, header: str) -> AsyncIterator[str]:
    """Yields the names of the namespaces that a caller sees, one of each page."""
    call: Any = channel.unary_unary(METHODS["ListNamespaces"].path)
    token = b""
    while True:
        request = wf.ListNamespacesRequest(page_size=1, next_page_token=token)
        data = await call(request.SerializeToString(), metadata=[("authorization", header)])
        page = wf.ListNamespacesResponse.FromString(data)
        for each in page.namespaces:
            yield each.namespace_info.name
        if not (token := page.next_page_token):
            return


def samples(node: Node) -> dict[tuple[str, str, str], float]:
    """Returns what metrics tell of authorisation: by name, namespace and outcome."""
    with urllib.request.urlopen(node.places["Metrics"]) as response:  # noqa: S310 it is http
        text = str(response.read(), "utf-8")
    wanted = {
        *(catalogue.SERVICE_ERRORS_UNAUTHORIZED, catalogue.SERVICE_ERRORS_AUTHORIZE_FAILED),
        *(catalogue.AUTHORIZATION_KEYS, catalogue.AUTHORIZATION_KEY_READS),
    }
    names = {metric.name for metric in wanted}
    names.add(f"{catalogue.SERVICE_AUTHORIZATION_LATENCY.name}_count")
    return {
        (name, sample.labels.get("namespace", ""), sample.labels.get("outcome", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if (name := sample.name.removesuffix("_total")) in names
    }


async def test_metrics(node: Node, channel: grpc.aio.Channel, issuer: Issuer) -> None:
    header = issuer.header(["orders:read"], **FOREVER)
    describe = METHODS["DescribeNamespace"]
    for namespace in (OWN, OTHER, "made-up"):
        await outcome(channel, describe, request_of(describe, namespace), header)
    found = await asyncio.to_thread(samples, node)
    assert found == {
        ("service_authorization_latency_count", OWN, ""): 1.0,
        ("service_authorization_latency_count", OTHER, ""): 1.0,
        ("service_authorization_latency_count", "_unknown_", ""): 1.0,
        ("service_errors_unauthorized", OTHER, ""): 1.0,
        ("service_errors_unauthorized", "_unknown_", ""): 1.0,
        ("authorization_keys", "", ""): 1.0,
        ("authorization_key_reads", "", "read"): 1.0,
        ("authorization_key_reads", "", "failed"): 0.0,
    }


async def test_a_server_whose_source_of_keys_is_away_starts_and_lets_nobody_in(
    issuer: Issuer,
) -> None:
    away = {"jwtKeyProvider": {"keySourceURIs": ["http://127.0.0.1:1/keys"]}}
    method = METHODS["DescribeNamespace"]
    header = issuer.header(["orders:admin"], **FOREVER)
    async with server(away, {}) as node:
        async with grpc.aio.insecure_channel(node.places["gRPC"]) as channel:
            assert await outcome(channel, method, request_of(method), header) == REFUSED
        found = await asyncio.to_thread(samples, node)
    assert found["service_errors_authorize_failed", OWN, ""] == 1.0
    assert found["authorization_key_reads", "", "failed"] == 1.0


async def test_keys_that_are_rotated_while_the_server_runs() -> None:
    issuer = Issuer()
    describe = METHODS["DescribeNamespace"]
    old = issuer.header(["orders:read"], **FOREVER)
    with http_server(issuer.published) as published:
        provider = {"keySourceURIs": [published.url], "refreshInterval": "50ms"}
        async with (
            server({"jwtKeyProvider": provider}, {}) as node,
            grpc.aio.insecure_channel(node.places["gRPC"]) as channel,
        ):

            async def is_let_in(header: str) -> bool:
                return await outcome(channel, describe, request_of(describe), header) == "OK"

            async def is_refused(header: str) -> bool:
                return await outcome(channel, describe, request_of(describe), header) == REFUSED

            assert await is_let_in(old)
            issuer.keys["second"] = ec_key()
            new = issuer.header(["orders:read"], by="second", **FOREVER)
            assert await is_refused(new)
            published.document = issuer.published
            await until_asked(lambda: is_let_in(new))
            assert await is_let_in(old)
            del issuer.keys["first"]
            published.document = issuer.published
            await until_asked(lambda: is_refused(old))
            published.status = 503
            asked = published.asked
            await until(lambda: published.asked > asked + 2)
            assert await is_let_in(new)


async def test_client_certificates(tmp_path: Path) -> None:
    authority = Authority("root")
    authority.issue().write(tmp_path)
    (tmp_path / "trust.pem").write_bytes(authority.pem)
    files = {
        "certFile": str(tmp_path / "certificate.pem"),
        "keyFile": str(tmp_path / "key.pem"),
        "clientCaFiles": [str(tmp_path / "trust.pem")],
        "requireClientAuth": True,
    }
    poll, start, describe, register = (
        METHODS[name]
        for name in (
            *("RespondWorkflowTaskFailed", "StartWorkflowExecution"),
            *("DescribeNamespace", "RegisterNamespace"),
        )
    )
    async with server({}, {"frontend": {"server": files}}) as node:

        async def allowed(role: str, namespace: str = OWN, target: str = OWN) -> list[bool]:
            name = f"spiffe://{DOMAIN}/ns/{namespace}/role/{role}/host/h1"
            shown = authority.issue(spiffe=name)
            credentials = grpc.ssl_channel_credentials(authority.pem, shown.key, shown.chain)
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.secure_channel(
                node.places["gRPC"], credentials, options=options
            ) as channel:
                return [
                    await outcome(channel, method, request_of(method, target)) != REFUSED
                    for method in (poll, start, describe, register)
                ]

        assert await allowed("application-worker") == [True, False, True, False]
        assert await allowed("reader") == [False, False, True, False]
        assert await allowed("writer") == [True, True, True, False]
        assert await allowed("client") == [False] * 4
        assert await allowed("admin") == [True, True, True, True]
        assert await allowed("admin", "temporal-system", OTHER) == [True, True, True, True]
        assert await allowed("admin", target=OTHER) == [False] * 4
        assert await allowed("internode", "temporal-system") == [False] * 4
        assert await allowed("worker", "temporal-system") == [False] * 4
