"""What a store's work looks like in metrics: the observer that stores are opened with."""

from typing import NamedTuple

from perdure.telemetry import catalogue, server_catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.series import CounterSeries, HistogramSeries

_EVERY_NAMESPACE = "all"
"""A batch serves many namespaces; the real server writes this where it does not tell them apart."""


_VISIBILITY = frozenset({"count_workflows", "count_workflows_by", "list_workflows"})
"""Operations that the real server has a store of its own for."""


class _Series(NamedTuple):
    """The series of an operation; those of the visibility store where it is one of that's."""

    requests: tuple[CounterSeries, ...]
    errors: tuple[CounterSeries, ...]
    latencies: tuple[HistogramSeries, ...]


class StoreMetrics:
    """Counts and times what a store does; series are bound when an operation is first seen."""

    def __init__(self, metrics: Metrics, *, plugin_name: str) -> None:
        """Binds what every store does.

        Args:
            metrics: Of whichever role has the store.
            plugin_name: What kind of store it is.
        """
        self._metrics = metrics
        self._plugin_name = plugin_name
        self._requests = metrics.counter(catalogue.PERSISTENCE_REQUESTS)
        self._errors = metrics.counter(catalogue.PERSISTENCE_ERRORS)
        self._latency = metrics.histogram(catalogue.PERSISTENCE_LATENCY)
        self._batch_size = metrics.histogram(catalogue.GROUP_COMMIT_BATCH_SIZE).bind()
        self._batch_latency = metrics.histogram(catalogue.GROUP_COMMIT_LATENCY).bind()
        self._operations: dict[str, _Series] = {}

    def commit_done(self, size: int, seconds: float) -> None:
        """A batch of `size` transitions is durable, `seconds` after it was handed over."""
        self._batch_size.observe(size)
        self._batch_latency.observe(seconds)

    def operation_done(self, operation: str, seconds: float, error: BaseException | None) -> None:
        """A call of the store named `operation` has ended, with an error or without."""
        series = self._operations.get(operation) or self._bind(operation)
        for requests in series.requests:
            requests.inc()
        for latency in series.latencies:
            latency.observe(seconds)
        if error is not None:
            for errors in series.errors:
                errors.inc()
            self._metrics.counter(server_catalogue.PERSISTENCE_ERROR_WITH_TYPE).bind(
                namespace=_EVERY_NAMESPACE, operation=operation, error_type=type(error).__name__
            ).inc()

    def _bind(self, operation: str) -> _Series:
        labels = {"operation": operation, "namespace": _EVERY_NAMESPACE}
        bound = _Series(
            (self._requests.bind(**labels),),
            (self._errors.bind(**labels),),
            (self._latency.bind(**labels),),
        )
        if operation in _VISIBILITY:
            bound = self._with_visibility(operation, bound)
        self._operations[operation] = bound
        return bound

    def _with_visibility(self, operation: str, bound: _Series) -> _Series:
        metrics = self._metrics.scoped(
            operation=operation,
            visibility_index_name="",
            visibility_plugin_name=self._plugin_name,
        )
        requests = metrics.counter(server_catalogue.VISIBILITY_PERSISTENCE_REQUESTS).bind()
        errors = metrics.counter(server_catalogue.VISIBILITY_PERSISTENCE_ERRORS).bind()
        latency = metrics.histogram(server_catalogue.VISIBILITY_PERSISTENCE_LATENCY).bind()
        return _Series(
            (*bound.requests, requests), (*bound.errors, errors), (*bound.latencies, latency)
        )
