"""Series: binding, caps, and what is forgotten."""

import pytest

from perdure.telemetry import catalogue, server_catalogue, workflow_catalogue
from perdure.telemetry.collectors import OVERFLOW, Metrics
from perdure.telemetry.metric import Metric, Unit, counter, gauge, histogram
from workbench.paths import SERVER

REQUESTS = counter("requests", ("namespace", "operation", "service_name"), "Requests.")
SIZE = histogram("size", ("service_name",), "Sizes.", Unit.COUNT)
BACKLOG = gauge("backlog", ("taskqueue",), "Tasks.")


def bound_values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return {key: series.current() for key, series in metrics.counter(REQUESTS).series()}


def test_the_same_labels_are_the_same_series() -> None:
    frontend = Metrics().scoped(service_name="frontend")
    requests = frontend.counter(REQUESTS)
    requests.bind(namespace="a-b", operation="Poll").inc()
    requests.bind(namespace="a-b", operation="Poll").inc(2)
    assert bound_values(frontend) == {("a_b", "Poll", "frontend"): 3}


def test_scopes_share_metrics() -> None:
    metrics = Metrics()
    for role in ("frontend", "history"):
        metrics.scoped(service_name=role).counter(REQUESTS).bind(namespace="n", operation="X").inc()
    assert set(bound_values(metrics)) == {("n", "X", "frontend"), ("n", "X", "history")}


def test_labels_must_be_the_declared_ones() -> None:
    with pytest.raises(ValueError, match="requests has labels"):
        Metrics().counter(REQUESTS).bind(operation="X")


def test_a_histogram_counts_inclusively() -> None:
    series = Metrics().histogram(SIZE).bind(service_name="s")
    for value in (1, 2, 3, 1e9):
        series.observe(value)
    assert (series.counts[0], series.counts[1], series.counts[2], series.counts[-1]) == (1, 1, 1, 1)
    assert series.total == 1e9 + 6


def test_dropped_series_are_gone() -> None:
    metrics = Metrics()
    backlog = metrics.gauge(BACKLOG)
    for name in ("q-1", "q-2"):
        backlog.bind(taskqueue=name).set(1)
    backlog.drop(taskqueue="q-1")
    assert [key for key, _ in backlog.series()] == [("q_2",)]


def test_a_gauge_can_be_read_when_scraped() -> None:
    series = Metrics().gauge(BACKLOG).bind(taskqueue="q")
    waiting = [1, 2, 3]
    series.follow(lambda: len(waiting))
    waiting.pop()
    assert series.current() == 2


def test_beyond_the_cap_what_clients_choose_is_merged() -> None:
    requests = Metrics(series_limit=2).scoped(service_name="s").counter(REQUESTS)
    for number in range(10):
        requests.bind(namespace=f"n{number}", operation="X").inc()
    values = {key: series.value for key, series in requests.series()}
    assert values == {("n0", "X", "s"): 1, ("n1", "X", "s"): 1, (OVERFLOW, "X", "s"): 8}
    assert requests.overflowed == 8


def test_a_shared_series_is_seen_under_both_names() -> None:
    metrics = Metrics().scoped(service_name="s")
    requests = metrics.counter(REQUESTS)
    same = metrics.counter(counter("same", REQUESTS.labels, "The same."))
    series = requests.bind(namespace="n", operation="X")
    same.share(series, namespace="n", operation="X")
    series.inc(3)
    assert [(key, each.value) for key, each in same.series()] == [(("n", "X", "s"), 3)]
    assert len(same) == 1


def test_the_catalogue_has_every_name_once() -> None:
    names = [metric.name for metric in catalogue.CATALOGUE]
    assert len(names) == len(set(names))
    for metric in catalogue.CATALOGUE:
        assert "service_name" in metric.labels
        assert len(set(metric.labels)) == len(metric.labels)
        assert metric.help.endswith(".")


def test_every_metric_of_the_catalogue_is_measured() -> None:
    declared = {
        name
        for module in (catalogue, server_catalogue, workflow_catalogue)
        for name, value in vars(module).items()
        if isinstance(value, Metric)
    }
    sources = [path.read_text("utf-8") for path in (SERVER / "perdure").rglob("*.py")]
    used = {
        name
        for name in declared
        if any(
            f"{module}.{name}" in text for text in sources for module in ("catalogue", "further")
        )
    }
    assert declared - used == set()
