"""The two formats that Prometheus reads.

The text format keeps the real names: a counter is not renamed to `_total`. OpenMetrics refuses a
counter without `_total`, so there counters are of the type `unknown`, as with the real server, and
histograms carry exemplars. Process metrics (`process_*`) come from the client library.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from perdure.telemetry.collectors import AnyFamily, Metrics
from perdure.telemetry.metric import Kind
from perdure.telemetry.series import Exemplar, HistogramSeries

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = openmetrics.CONTENT_TYPE_LATEST
_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


class _Format(NamedTuple):
    """Where the two differ.

    Attributes:
        counter: What the type of a counter is called.
        bound: Writes the upper bound of a bucket.
        exemplars: Whether buckets have them.
    """

    counter: str
    bound: Callable[[float], str]
    exemplars: bool


def text(metrics: Metrics) -> bytes:
    """Renders every series in the text format."""
    return _render(metrics, _TEXT) + generate_latest(_process())


def open_metrics(metrics: Metrics) -> bytes:
    """Renders every series in the OpenMetrics format, with exemplars."""
    process: bytes = openmetrics.generate_latest(_process())  # type: ignore[no-untyped-call]
    return _render(metrics, _OPEN_METRICS) + process  # which has the end mark


def prefers_open_metrics(accept: str) -> bool:
    """Tells whether a client is to get OpenMetrics, by its Accept header.

    It is, when it takes version 1.0 of it no less gladly than the text format.
    """
    wanted = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for each in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in each.split(";"))
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if (
            kind == "application/openmetrics-text"
            and given.get("version", "1.0.0").strip('"') != "1.0.0"
        ):
            continue
        quality = given.get("q", "1")
        if kind in wanted and _QUALITY.fullmatch(quality):
            wanted[kind] = max(wanted[kind], float(quality))
    return 0 < wanted["application/openmetrics-text"] >= wanted["text/plain"]


def _process() -> CollectorRegistry:
    process = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=process)
    return process


def _render(metrics: Metrics, form: _Format) -> bytes:
    lines: list[str] = []
    for family in metrics.families():
        lines.extend(_family_lines(family, form))
    return "".join(lines).encode()


def _family_lines(family: AnyFamily, form: _Format) -> Iterator[str]:
    metric = family.metric
    kind = form.counter if metric.kind is Kind.COUNTER else metric.kind.value
    yield f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {kind}\n"
    for key, series in family.series():
        pairs = [f'{name}="{value}"' for name, value in zip(metric.labels, key, strict=True)]
        labels = ",".join(pairs)
        if isinstance(series, HistogramSeries):
            yield from _histogram_lines(metric.name, labels, series, form)
        else:
            yield f"{metric.name}{{{labels}}} {series.current()!r}\n"


def _histogram_lines(
    name: str, labels: str, series: HistogramSeries, form: _Format
) -> Iterator[str]:
    counts = list(series.counts)  # one moment's counts, whatever the event loop adds meanwhile
    count = 0
    for position, bound in enumerate((*series.bounds, math.inf)):
        count += counts[position]
        example = series.exemplars.get(position) if form.exemplars else None
        end = _exemplar(example) if example is not None else ""
        yield f'{name}_bucket{{{labels},le="{form.bound(bound)}"}} {count}{end}\n'
    yield f"{name}_sum{{{labels}}} {series.total!r}\n"
    yield f"{name}_count{{{labels}}} {count}\n"


def _exemplar(example: Exemplar) -> str:
    trace_id, span_id = example.span
    ids = f'trace_id="{trace_id}",span_id="{span_id}"'
    return f" # {{{ids}}} {example.value!r} {example.seconds:.3f}"


def _short_bound(bound: float) -> str:
    if bound == math.inf:
        return "+Inf"
    return str(int(bound)) if bound.is_integer() else repr(bound)


def _float_bound(bound: float) -> str:
    return "+Inf" if bound == math.inf else repr(bound)


_TEXT = _Format("counter", _short_bound, exemplars=False)
_OPEN_METRICS = _Format("unknown", _float_bound, exemplars=True)
