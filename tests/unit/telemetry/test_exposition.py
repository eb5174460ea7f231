"""What Prometheus reads, parsed by the client library's own parsers."""

import urllib.request
from collections.abc import Iterable, Iterator
from urllib.error import HTTPError

import pytest
from prometheus_client import Metric as PrometheusMetric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from perdure.config.errors import ConfigError
from perdure.telemetry import catalogue, exposition
from perdure.telemetry.collectors import Metrics, Traces
from perdure.telemetry.http import MetricsEndpoint, serve_metrics
from perdure.telemetry.metric import Kind, Metric
from perdure.telemetry.series import SpanIds

SPAN = SpanIds("ab" * 16, "cd" * 8)
NOW = 1_700_000_000.25
# As Prometheus 2.42 and 3 ask.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.2"
)
SAMPLED = [metric for metric in catalogue.CATALOGUE if metric.kind is not Kind.HISTOGRAM]


def touch(metrics: Metrics, metric: Metric) -> None:
    labels = dict.fromkeys(metric.labels, "some-value")
    match metric.kind:
        case Kind.COUNTER:
            metrics.counter(metric).bind(**labels).inc(3)
        case Kind.GAUGE:
            metrics.gauge(metric).bind(**labels).set(3)
        case Kind.HISTOGRAM:
            metrics.histogram(metric).bind(**labels).observe(3)


@pytest.fixture
def metrics() -> Metrics:
    result = Metrics()
    for metric in catalogue.CATALOGUE:
        touch(result, metric)
    return result


@pytest.fixture
def endpoint(metrics: Metrics) -> Iterator[MetricsEndpoint]:
    opened = serve_metrics(metrics, host="127.0.0.1", port=0)
    yield opened
    opened.close()


def test_text_keeps_the_real_names(metrics: Metrics) -> None:
    rendered = exposition.text(metrics).decode()
    # The parser calls a counter's samples _total, whatever they are called in the text.
    samples = {
        sample.name.removesuffix("_total"): sample
        for family in text_string_to_metric_families(rendered)
        for sample in family.samples
    }
    for metric in SAMPLED:
        assert samples[metric.name].value == 3
        assert samples[metric.name].labels == dict.fromkeys(metric.labels, "some_value")
        assert f"# TYPE {metric.name} {metric.kind.value}\n{metric.name}{{" in rendered


def test_histograms_are_cumulative(metrics: Metrics) -> None:
    rendered = exposition.text(metrics).decode()
    (family,) = (
        family
        for family in text_string_to_metric_families(rendered)
        if family.name == "service_latency"
    )
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert list(buckets)[:3] == ["0.001", "0.002", "0.005"]
    assert (buckets["2"], buckets["5"], buckets["1000"], buckets["+Inf"]) == (0, 1, 1, 1)
    assert {s.name: s.value for s in family.samples if "le" not in s.labels} == {
        "service_latency_sum": 3,
        "service_latency_count": 1,
    }


def open_metrics_families(metrics: Metrics) -> dict[str, PrometheusMetric]:
    rendered = exposition.open_metrics(metrics).decode()
    return {
        family.name: family
        for family in openmetrics_parser.text_string_to_metric_families(rendered)
    }


def test_open_metrics_has_everything_with_counters_as_unknown(metrics: Metrics) -> None:
    families = open_metrics_families(metrics)
    for metric in SAMPLED:
        family = families[metric.name]
        assert family.type == ("unknown" if metric.kind is Kind.COUNTER else "gauge")
        (sample,) = family.samples
        assert (sample.name, sample.value) == (metric.name, 3)
        assert sample.labels == dict.fromkeys(metric.labels, "some_value")
    buckets = [s for s in families["service_latency"].samples if s.name.endswith("_bucket")]
    assert [s.labels["le"] for s in buckets][:2] == ["0.001", "0.002"]
    assert {s.labels["le"]: s.value for s in buckets}["5.0"] == 1
    assert "process_resident_memory_bytes" in families


def test_both_formats_tell_the_same(metrics: Metrics) -> None:
    def numbers(families: Iterable[PrometheusMetric]) -> dict[tuple[str, ...], float]:
        return {
            (sample.name.removesuffix("_total"), *map(str, map(normal, sample.labels.items()))): (
                sample.value
            )
            for family in families
            if not family.name.startswith("process_")
            for sample in family.samples
        }

    def normal(label: tuple[str, str]) -> tuple[str, str | float]:
        name, value = label
        return (name, float(value)) if name == "le" else label

    as_text = text_string_to_metric_families(exposition.text(metrics).decode())
    assert numbers(as_text) == numbers(open_metrics_families(metrics).values())


def test_a_bucket_has_the_last_observation_of_a_sampled_trace() -> None:
    spans: list[SpanIds | None] = [SPAN, None, SpanIds("ef" * 16, "01" * 8), None]
    traces = Traces(spans={catalogue.SERVICE_LATENCY: lambda: spans.pop(0)}, now=lambda: NOW)
    metrics = Metrics().traced(traces)
    labels = dict.fromkeys(catalogue.SERVICE_LATENCY.labels, "x")
    latency = metrics.scoped(**labels).histogram(catalogue.SERVICE_LATENCY).bind()
    for value in (3.0, 4.0, 0.5, 7.0):
        latency.observe(value)
    samples = open_metrics_families(metrics)["service_latency"].samples
    found = {s.labels["le"]: s.exemplar for s in samples if s.exemplar}
    assert {bound: (e.labels, e.value, float(e.timestamp)) for bound, e in found.items()} == {
        "5.0": ({"trace_id": "ab" * 16, "span_id": "cd" * 8}, 3.0, NOW),
        "0.5": ({"trace_id": "ef" * 16, "span_id": "01" * 8}, 0.5, NOW),
    }
    assert b"trace_id" not in exposition.text(metrics)


def test_other_histograms_have_none() -> None:
    metrics = Metrics().traced(Traces(spans={catalogue.SERVICE_LATENCY: lambda: SPAN}, now=float))
    touch(metrics, catalogue.CLIENT_LATENCY)
    assert b"trace_id" not in exposition.open_metrics(metrics)


@pytest.mark.parametrize(
    ("accept", "open_metrics"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        ("application/openmetrics-text", True),
        ('application/openmetrics-text; version="1.0.0"', True),
        ("application/openmetrics-text;version=0.0.1,text/plain", False),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=nan", False),
        ("text/plain", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_who_gets_open_metrics(accept: str, open_metrics: bool) -> None:
    assert exposition.prefers_open_metrics(accept) is open_metrics


def test_process_metrics_are_there(metrics: Metrics) -> None:
    assert b"process_resident_memory_bytes" in exposition.text(metrics)


def fetch(endpoint: MetricsEndpoint, path: str, accept: str = "*/*") -> tuple[str, bytes]:
    url = f"http://127.0.0.1:{endpoint.port}{path}"
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request) as response:  # noqa: S310 the scheme is http
        return response.headers["Content-Type"], response.read()


def test_the_endpoint_negotiates(endpoint: MetricsEndpoint) -> None:
    kind, body = fetch(endpoint, "/metrics")
    assert kind.startswith("text/plain; version=0.0.4")
    assert b"service_requests{" in body
    kind, body = fetch(endpoint, "/metrics", "application/openmetrics-text;version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_other_paths_are_not_found(endpoint: MetricsEndpoint) -> None:
    with pytest.raises(HTTPError, match="404") as caught:
        fetch(endpoint, "/other")
    caught.value.close()


def test_a_busy_port_is_a_sentence(endpoint: MetricsEndpoint, metrics: Metrics) -> None:
    with pytest.raises(ConfigError, match=rf"metrics port {endpoint.port} on .* is in use"):
        serve_metrics(metrics, host="127.0.0.1", port=endpoint.port)


def test_a_foreign_address_is_a_sentence(metrics: Metrics) -> None:
    with pytest.raises(ConfigError, match="cannot be served at"):
        serve_metrics(metrics, host="198.51.100.1", port=0)


def test_an_ipv6_address(metrics: Metrics) -> None:
    opened = serve_metrics(metrics, host="::1", port=0)
    try:
        with urllib.request.urlopen(f"http://[::1]:{opened.port}/metrics") as response:
            assert response.status == 200
    finally:
        opened.close()
