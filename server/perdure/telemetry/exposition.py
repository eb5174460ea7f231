"""The two formats that Prometheus reads.

The text format keeps the real names: a counter is not renamed to `_total`. OpenMetrics refuses a
counter without `_total`, so there counters are of the type `unknown`, as with the real server, and
histograms carry exemplars. Process metrics (`process_*`) come from the client library.
"""

import math
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Exemplar, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from perdure.telemetry.collectors import AnyFamily, Metrics
from perdure.telemetry.metric import Kind
from perdure.telemetry.series import HistogramSeries

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = openmetrics.CONTENT_TYPE_LATEST


def text(metrics: Metrics) -> bytes:
    """Renders every series in the text format."""
    lines: list[str] = []
    for family in metrics.families():
        lines.extend(_family_lines(family))
    process = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=process)
    return "".join(lines).encode() + generate_latest(process)


def open_metrics(metrics: Metrics) -> bytes:
    """Renders every series in the OpenMetrics format, with exemplars."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_CatalogueCollector(metrics))
    ProcessCollector(registry=registry)
    rendered: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
    return rendered


def _family_lines(family: AnyFamily) -> Iterator[str]:
    metric = family.metric
    yield f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind.value}\n"
    for key, series in family.series():
        pairs = [f'{name}="{value}"' for name, value in zip(metric.labels, key, strict=True)]
        labels = ",".join(pairs)
        if isinstance(series, HistogramSeries):
            for bound, count in _cumulative(series):
                yield f'{metric.name}_bucket{{{labels},le="{bound}"}} {count}\n'
            yield f"{metric.name}_sum{{{labels}}} {series.total!r}\n"
            yield f"{metric.name}_count{{{labels}}} {count}\n"
        else:
            yield f"{metric.name}{{{labels}}} {series.current()!r}\n"


def _cumulative(series: HistogramSeries) -> list[tuple[str, int]]:
    counts = list(series.counts)  # one moment's counts, whatever the event loop adds meanwhile
    seen = 0
    result = []
    for bound, count in zip((*series.bounds, math.inf), counts, strict=True):
        seen += count
        result.append((_bound(bound), seen))
    return result


def _bound(bound: float) -> str:
    if bound == math.inf:
        return "+Inf"
    return str(int(bound)) if bound.is_integer() else repr(bound)


class _CatalogueCollector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        for family in self._metrics.families():
            yield _open_metrics_family(family)


def _open_metrics_family(family: AnyFamily) -> Metric:
    declared = family.metric
    kind = "unknown" if declared.kind is Kind.COUNTER else declared.kind.value
    result = Metric(declared.name, declared.help, kind)
    for key, series in family.series():
        labels = dict(zip(declared.labels, key, strict=True))
        if isinstance(series, HistogramSeries):
            _add_histogram(result, labels, series)
        else:
            result.add_sample(declared.name, labels, series.current())
    return result


def _add_histogram(result: Metric, labels: dict[str, str], series: HistogramSeries) -> None:
    count = 0
    for position, (bound, count) in enumerate(_cumulative(series)):
        example = series.exemplars.get(position)
        exemplar = Exemplar({"trace_id": example.trace_id}, example.value) if example else None
        le = bound if "." in bound or bound == "+Inf" else f"{bound}.0"
        result.add_sample(f"{result.name}_bucket", {**labels, "le": le}, count, exemplar=exemplar)
    result.add_sample(f"{result.name}_sum", labels, series.total)
    result.add_sample(f"{result.name}_count", labels, count)
