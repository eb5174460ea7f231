"""docs/metrics.md, made from the catalogue and the table of equivalents."""

from collections.abc import Iterator

from perdure.telemetry import catalogue
from perdure.telemetry.equivalents import EQUIVALENTS, EXPORTED, OPERATED
from perdure.telemetry.metric import Metric

_HEAD = """\
# Metrics

Generated from the catalogue by `./dev generate`; do not edit. [What Perdure tells](telemetry.md)
says how to read them; [the comparison](metrics-comparison.md) holds them against the real server's.

Names, labels and kinds are those of Temporal's server 1.32 where it has the metric. Histograms have
its buckets: seconds from 0.001 to 1000 and counts from 1 to 100000 in steps of 1, 2 and 5, bytes
from 1 KiB to 16 MiB in powers of two.
"""


def page() -> str:
    """Returns the page."""
    return "\n".join((_HEAD, *_metrics(), "", *_operated(), "", *_equivalents(), ""))


def _metrics() -> Iterator[str]:
    yield f"## What is told: {len(catalogue.CATALOGUE) + len(catalogue.PROCESS)}"
    yield ""
    yield "| Metric | Kind | Labels | Unit | What it is |"
    yield "| --- | --- | --- | --- | --- |"
    for metric in (*catalogue.CATALOGUE, *catalogue.PROCESS):
        yield _row(metric)


def _row(metric: Metric) -> str:
    name, labels = f"`{metric.name}`", ", ".join(metric.labels)
    cells = [name, metric.kind.value, labels, metric.unit.value, metric.help]
    return f"| {' | '.join(cells)} |"


def _operated() -> Iterator[str]:
    yield "## The names that operators of Temporal use"
    yield ""
    yield "| About | Told | Not told, see below |"
    yield "| --- | --- | --- |"
    for area, names in OPERATED.items():
        told = ", ".join(f"`{name}`" for name in names if name in EXPORTED)
        untold = ", ".join(f"`{name}`" for name in names if name not in EXPORTED)
        yield f"| {area} | {told} | {untold} |"


def _equivalents() -> Iterator[str]:
    yield "## Temporal's that cannot exist here, and where to look instead"
    yield ""
    yield "None of them is told: a constant would hide that an alert on it never fires."
    yield ""
    yield "| Temporal's | Here | Why |"
    yield "| --- | --- | --- |"
    for equivalent in EQUIVALENTS:
        names = ", ".join(f"`{name}`" for name in equivalent.names)
        nearest = ", ".join(f"`{metric.name}`" for metric in equivalent.nearest) or "nothing"
        yield f"| {names} | {nearest} | {equivalent.why} |"
