"""What the gRPC server tells metrics: requests, latencies, errors and what is under way, by RPC.

Series are bound when an RPC first names a namespace; after that a call costs a dictionary look-up
and a few additions. Namespaces are what clients write, so no more than a bounded number is kept.
"""

from asyncio import CancelledError
from typing import NamedTuple

from perdure.core.errors import ServiceError
from perdure.runtime.ports import Clock
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import OVERFLOW, Metrics
from perdure.telemetry.series import CounterSeries, HistogramSeries

UNKNOWN_NAMESPACE = "_unknown_"
NAMESPACES_PER_RPC = 500
"""Beyond these, namespaces of an RPC are counted together."""


class RpcMetrics:
    """An `RpcObserver`."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def operation(self, service: str, name: str) -> "OperationMetrics":
        """Returns the observer of one RPC."""
        return OperationMetrics(self._metrics.scoped(operation=name), self._clock)


class _Series(NamedTuple):
    requests: CounterSeries
    latency: HistogramSeries


class OperationMetrics:
    """An `OperationObserver`."""

    __slots__ = ("_by_namespace", "_clock", "_metrics", "_pending")

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        pending = metrics.gauge(catalogue.SERVICE_PENDING_REQUESTS)
        # The namespace is not known before the request is parsed.
        self._pending = pending.bind(namespace=UNKNOWN_NAMESPACE)
        self._by_namespace: dict[str, _Series] = {}

    def begin(self) -> float:
        """Notes that a call has come in; returns when."""
        self._pending.value += 1
        return self._clock.monotonic()

    def end(self, begun: float, namespace: str, error: BaseException | None) -> None:
        """Notes how a call ended."""
        self._pending.value -= 1
        series = self._by_namespace.get(namespace) or self._bind(namespace)
        series.requests.value += 1
        series.latency.observe(self._clock.monotonic() - begun)
        if error is not None:
            self._metrics.counter(catalogue.SERVICE_ERROR_WITH_TYPE).bind(
                namespace=namespace or UNKNOWN_NAMESPACE, error_type=error_type(error)
            ).inc()

    def _bind(self, namespace: str) -> _Series:
        name = namespace or UNKNOWN_NAMESPACE
        if len(self._by_namespace) >= NAMESPACES_PER_RPC:
            name = OVERFLOW
        series = _Series(
            self._metrics.counter(catalogue.SERVICE_REQUESTS).bind(namespace=name),
            self._metrics.histogram(catalogue.SERVICE_LATENCY).bind(namespace=name),
        )
        if name is not OVERFLOW:
            self._by_namespace[namespace] = series
        return series


def error_type(error: BaseException) -> str:
    """Returns what the real server calls an error in its metrics."""
    if isinstance(error, CancelledError):
        return "serviceerror_Canceled"
    if isinstance(error, ServiceError):
        return f"serviceerror_{type(error).__name__.removesuffix('Error')}"
    return "serviceerror_Internal"
