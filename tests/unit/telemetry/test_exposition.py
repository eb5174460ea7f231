"""What Prometheus reads, parsed by the client library's own parsers."""

import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from perdure.config.errors import ConfigError
from perdure.telemetry import catalogue, exposition
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.http import MetricsEndpoint, serve_metrics
from perdure.telemetry.metric import Kind, Metric

SAMPLED = [metric for metric in catalogue.CATALOGUE if metric.kind is not Kind.HISTOGRAM]


def touch(metrics: Metrics, metric: Metric) -> None:
    labels = dict.fromkeys(metric.labels, "some-value")
    match metric.kind:
        case Kind.COUNTER:
            metrics.counter(metric).bind(**labels).inc(3)
        case Kind.GAUGE:
            metrics.gauge(metric).bind(**labels).set(3)
        case Kind.HISTOGRAM:
            metrics.histogram(metric).bind(**labels).observe_traced(3, "ab" * 16)


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


def test_open_metrics_has_counters_as_unknown_and_exemplars(metrics: Metrics) -> None:
    rendered = exposition.open_metrics(metrics).decode()
    families = {
        family.name: family
        for family in openmetrics_parser.text_string_to_metric_families(rendered)
    }
    assert families["service_requests"].type == "unknown"
    assert families["service_requests"].samples[0].value == 3
    exemplars = [s.exemplar for s in families["service_latency"].samples if s.exemplar]
    assert [(e.labels, e.value) for e in exemplars] == [({"trace_id": "ab" * 16}, 3)]


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
