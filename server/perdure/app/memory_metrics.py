"""What history and the sender of hints have in memory or have counted, read at every scrape."""

from perdure.history.ports import HistoryStatistics
from perdure.rpc.internode.hints import Hints
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics

_EVERY_NAMESPACE = "all"
"""The cache does not tell namespaces apart."""


class HistoryMemoryMetrics:
    """The cache of workflows, timers, messages, and starts that were undone."""

    def __init__(self, metrics: Metrics) -> None:
        metrics = metrics.scoped(service_name="history", cache_type="mutablestate")
        use = {"namespace_id": _EVERY_NAMESPACE, "operation": "HistoryCacheGetOrCreate"}
        self._requests = metrics.counter(catalogue.CACHE_REQUESTS).bind(**use)
        self._misses = metrics.counter(catalogue.CACHE_MISS).bind(**use)
        self._limit = metrics.gauge(catalogue.CACHE_SIZE).bind()
        self._usage = metrics.gauge(catalogue.CACHE_USAGE).bind()
        self._entries = metrics.gauge(catalogue.CACHE_ENTRIES).bind()
        self._timers = metrics.gauge(catalogue.TIMERS_IN_MEMORY).bind()
        self._messages = metrics.gauge(catalogue.MESSAGES_IN_MEMORY).bind()
        self._undone = metrics.counter(catalogue.STARTS_UNDONE).bind()

    def sample(self, statistics: HistoryStatistics) -> None:
        """Takes over what history has counted."""
        self._requests.value = statistics.cache_requests
        self._misses.value = statistics.cache_misses
        self._limit.set(statistics.cache_limit_bytes)
        self._usage.set(statistics.cache_bytes)
        self._entries.set(statistics.cache_entries)
        self._timers.set(statistics.timers)
        self._messages.set(statistics.messages)
        self._undone.value = statistics.starts_undone


class HintMetrics:
    """Hints to other nodes."""

    def __init__(self, metrics: Metrics) -> None:
        metrics = metrics.scoped(service_name="history")
        self._sent = metrics.counter(catalogue.HINTS_SENT).bind()
        self._retried = metrics.counter(catalogue.HINTS_RETRIED).bind()
        self._dropped = metrics.counter(catalogue.HINTS_DROPPED).bind()

    def sample(self, hints: Hints) -> None:
        """Takes over what the sender has counted."""
        self._sent.value = hints.sent
        self._retried.value = hints.retried
        self._dropped.value = hints.dropped
