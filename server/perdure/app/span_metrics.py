"""What tracing tells metrics of spans."""

from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics


class SpanMetrics:
    """A `SpanObserver`: each series is counted by one thread."""

    def __init__(self, metrics: Metrics) -> None:
        lost = metrics.counter(catalogue.SPANS_LOST)
        self._exported = metrics.counter(catalogue.SPANS_EXPORTED).bind()
        self._refused = lost.bind(reason="collector")
        self._dropped = lost.bind(reason="queue_full")

    def spans_exported(self, count: int) -> None:
        """Counts spans that the collector has taken."""
        self._exported.inc(count)

    def spans_refused(self, count: int) -> None:
        """Counts spans that the collector has not taken."""
        self._refused.inc(count)

    def spans_dropped(self, count: int) -> None:
        """Counts spans for which there was no room."""
        self._dropped.inc(count)
