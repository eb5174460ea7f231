"""What the guard in front of the public handlers tells metrics."""

from collections.abc import Callable

from perdure.app.rpc_metrics import UNKNOWN_NAMESPACE
from perdure.telemetry import server_catalogue as catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.series import HistogramSeries

_OPERATION = "Authorization"
"""What the real server calls it, whichever RPC is decided about."""


class AuthorizationMetrics:
    """An `AccessObserver`. Namespaces that do not exist are counted together."""

    def __init__(self, metrics: Metrics, *, is_namespace: Callable[[str], bool]) -> None:
        scoped = metrics.scoped(operation=_OPERATION)
        self._latency = scoped.histogram(catalogue.SERVICE_AUTHORIZATION_LATENCY)
        self._unauthorized = scoped.counter(catalogue.SERVICE_ERRORS_UNAUTHORIZED)
        self._failed = scoped.counter(catalogue.SERVICE_ERRORS_AUTHORIZE_FAILED)
        reads = metrics.counter(catalogue.AUTHORIZATION_KEY_READS)
        # Both from the start: an alert sees the first one fail.
        self._reads = {True: reads.bind(outcome="read"), False: reads.bind(outcome="failed")}
        self._keys = metrics.gauge(catalogue.AUTHORIZATION_KEYS).bind()
        self._is_namespace = is_namespace
        self._latencies: dict[str, HistogramSeries] = {}

    def decided(self, namespace: str, seconds: float) -> None:
        """Times a decision."""
        series = self._latencies.get(namespace)
        if series is None:
            label = self._label(namespace)
            series = self._latency.bind(namespace=label)
            if label == namespace:
                self._latencies[namespace] = series
        series.observe(seconds)

    def refused(self, namespace: str) -> None:
        """Counts a refusal."""
        self._unauthorized.bind(namespace=self._label(namespace)).inc()

    def undecided(self, namespace: str) -> None:
        """Counts a refusal for want of keys."""
        self._failed.bind(namespace=self._label(namespace)).inc()

    def keys_read(self, *, succeeded: bool) -> None:
        """Counts a read of a source."""
        self._reads[succeeded].value += 1

    def keys_known(self, number: int) -> None:
        """Notes how many keys there are."""
        self._keys.value = number

    def _label(self, namespace: str) -> str:
        return namespace if namespace and self._is_namespace(namespace) else UNKNOWN_NAMESPACE
