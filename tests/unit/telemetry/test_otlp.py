"""Where traces go: Temporal's configuration, OpenTelemetry's variables, both transports."""

import pytest
from pydantic import ValidationError

from otlp_collector import collector
from perdure.config.errors import ConfigError
from perdure.config.otel import Otel
from perdure.telemetry import otlp
from perdure.telemetry.tracing import Tracer
from unit.telemetry.spans import Spans
from waiting import until_sync

OFF = Otel()


def connect(
    environment: dict[str, str] | None = None, otel: Otel = OFF, endpoint: str = ""
) -> Tracer:
    return otlp.connect(
        otel=otel,
        endpoint=endpoint,
        roles=["history"],
        version="1",
        environment=environment or {},
        observer=Spans(),
    )


def exporter_to(endpoint: str, proto: str = "grpc", **spec: object) -> Otel:
    connection = {"endpoint": endpoint, "insecure": True}
    return Otel.model_validate(
        {
            "exporters": [
                {
                    "kind": {"signal": "traces", "model": "otlp", "proto": proto},
                    "spec": {"connection": connection, **spec},
                }
            ]
        }
    )


def one_span(tracer: Tracer) -> None:
    assert tracer.enabled
    with tracer.span("rpc"):
        pass
    tracer.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:1"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_tracing_is_off_unless_it_is_asked_for(environment: dict[str, str]) -> None:
    assert not connect(environment).enabled


@pytest.mark.parametrize(
    ("proto", "headers"), [("grpc", {"X-Tenant": "a"}), ("http", {"X-Tenant": "a"})]
)
def test_temporals_configuration_names_a_collector(proto: str, headers: dict[str, str]) -> None:
    with collector() as received:
        endpoint = received.grpc_endpoint if proto == "grpc" else received.http_endpoint
        address = endpoint.removeprefix("http://")
        one_span(connect(otel=exporter_to(address, proto, headers=headers, timeout="5s")))
        assert [(span.service, span.name) for span in received.spans] == [
            ("perdure.history", "rpc")
        ]
        assert received.headers[0]["x-tenant"] == "a"


def test_exporters_may_share_a_connection_by_name() -> None:
    with collector() as received:
        otel = Otel.model_validate(
            {
                "connections": [
                    {
                        "kind": "grpc",
                        "metadata": {"name": "main"},
                        "spec": {
                            "endpoint": received.grpc_endpoint.removeprefix("http://"),
                            "insecure": True,
                            "user_agent": "mine",
                            "connect_params": {"min_connect_timeout": "3s"},
                        },
                    }
                ],
                "exporters": [
                    {
                        "kind": {"signal": "traces", "model": "otlp", "proto": "grpc"},
                        "spec": {"connection_name": "main", "retry": {"enabled": False}},
                    }
                ],
            }
        )
        one_span(connect(otel=otel))
        assert len(received.spans) == 1
        assert received.headers[0]["user-agent"].startswith("mine ")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"connection_name": "other"}, 'none of the name "other"'),
        ({"connection": {}}, "needs a spec.connection.endpoint"),
        ({"timeout": "soon"}, 'a duration wants a duration such as "10s"'),
        ({"retries": 3}, "Extra inputs are not permitted"),
    ],
)
def test_mistakes_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        exporter_to("x:1", **change)


def test_what_temporal_does_not_have_is_refused() -> None:
    with pytest.raises(ValidationError):
        exporter_to("x:1", "thrift")


@pytest.mark.parametrize("prefix", ["OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"])
def test_the_environment_names_a_grpc_collector(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as received:
        environment = {f"{prefix}ENDPOINT": received.grpc_endpoint}
        monkeypatch.setenv(f"{prefix}ENDPOINT", received.grpc_endpoint)
        one_span(connect(environment))
        assert len(received.spans) == 1
        assert received.paths == []


def test_the_environment_names_an_http_collector() -> None:
    with collector() as received:
        base = received.http_endpoint
        http = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        one_span(connect({**http, "OTEL_EXPORTER_OTLP_ENDPOINT": f"{base}/otel/"}))
        packed = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{base}/exactly/here",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20abc,x-a=b",
        }
        one_span(connect({**http, **packed}))
        assert received.paths == ["/otel/v1/traces", "/exactly/here"]
        assert len(received.spans) == 2
        assert received.headers[1]["content-encoding"] == "gzip"
        assert received.headers[1]["authorization"] == "Basic abc"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "none"),
    ],
)
def test_a_variable_that_nothing_understands_is_refused(variable: str, value: str) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", variable: value}
    with pytest.raises(ConfigError, match=value):
        connect(environment)


def test_no_url_is_refused() -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318",
    }
    with pytest.raises(ConfigError, match="is no URL of a collector"):
        connect(environment)


def test_the_service_is_named_as_temporals_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def name(*roles: str) -> object:
        return otlp.resource(roles, "1.2").attributes["service.name"]

    assert name("history") == "perdure.history"
    assert name("history", "matching") == "perdure"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "orders")
    assert name("history") == "orders.history"
    assert name("history", "matching") == "orders"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "zone=b,service.version=7")
    attributes = otlp.resource(["history"], "1.2", "node-1").attributes
    assert (attributes["service.version"], attributes["zone"]) == ("7", "b")
    assert attributes["service.instance.id"] == "node-1"


@pytest.mark.parametrize(("ratio", "count"), [("0", 0), ("1", 3)])
def test_the_environment_chooses_the_sampler(
    ratio: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    with collector() as received:
        tracer = connect(endpoint=received.grpc_endpoint)
        for _ in range(3):
            with tracer.span("rpc", caller={}):
                pass
        tracer.close()
        assert len(received.spans) == count


def test_a_collector_that_is_busy_is_asked_again() -> None:
    with collector() as received:
        received.answer = 503
        environment = {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.http_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "1",
        }
        tracer = connect(environment)
        with tracer.span("rpc"):
            pass
        until_sync(lambda: received.paths != [])
        received.answer = 200
        until_sync(lambda: received.spans != [])
        tracer.close()
