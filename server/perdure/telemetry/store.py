"""What a store's work looks like in metrics: the observer that stores are opened with."""

from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.series import CounterSeries, HistogramSeries

_EVERY_NAMESPACE = "all"
"""A batch serves many namespaces; the real server writes this where it does not tell them apart."""


class StoreMetrics:
    """Counts and times what a store does; series are bound when an operation is first seen."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.counter(catalogue.PERSISTENCE_REQUESTS)
        self._errors = metrics.counter(catalogue.PERSISTENCE_ERRORS)
        self._latency = metrics.histogram(catalogue.PERSISTENCE_LATENCY)
        self._batch_size = metrics.histogram(catalogue.GROUP_COMMIT_BATCH_SIZE).bind()
        self._batch_latency = metrics.histogram(catalogue.GROUP_COMMIT_LATENCY).bind()
        self._operations: dict[str, tuple[CounterSeries, CounterSeries, HistogramSeries]] = {}

    def commit_done(self, size: int, seconds: float) -> None:
        """A batch of `size` transitions is durable, `seconds` after it was handed over."""
        self._batch_size.observe(size)
        self._batch_latency.observe(seconds)

    def operation_done(self, operation: str, seconds: float, error: BaseException | None) -> None:
        """A call of the store named `operation` has ended, with an error or without."""
        requests, errors, latency = self._operations.get(operation) or self._bind(operation)
        requests.inc()
        latency.observe(seconds)
        if error is not None:
            errors.inc()

    def _bind(self, operation: str) -> tuple[CounterSeries, CounterSeries, HistogramSeries]:
        labels = {"operation": operation, "namespace": _EVERY_NAMESPACE}
        bound = (
            self._requests.bind(**labels),
            self._errors.bind(**labels),
            self._latency.bind(**labels),
        )
        self._operations[operation] = bound
        return bound
