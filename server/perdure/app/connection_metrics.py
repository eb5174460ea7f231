"""What a store's connections tell metrics."""

from perdure.persistence.observation import ConnectionStatistics
from perdure.telemetry import server_catalogue as catalogue
from perdure.telemetry.collectors import Metrics


class ConnectionMetrics:
    """The pool of a store: the names are those of the real server's SQL stores."""

    def __init__(self, metrics: Metrics) -> None:
        metrics = metrics.scoped(db_kind="main")
        self._limit = metrics.gauge(catalogue.PERSISTENCE_SQL_MAX_OPEN_CONN).bind()
        self._open = metrics.gauge(catalogue.PERSISTENCE_SQL_OPEN_CONN).bind()
        self._idle = metrics.gauge(catalogue.PERSISTENCE_SQL_IDLE_CONN).bind()
        self._busy = metrics.gauge(catalogue.PERSISTENCE_SQL_IN_USE).bind()
        self._attempts = metrics.counter(catalogue.PERSISTENCE_SESSION_REFRESH_ATTEMPTS).bind()
        self._failures = metrics.counter(catalogue.PERSISTENCE_SESSION_REFRESH_FAILURES).bind()

    def sample(self, connections: ConnectionStatistics) -> None:
        """Takes over what the store has counted."""
        self._limit.set(connections.limit)
        self._open.set(connections.open)
        self._idle.set(connections.open - connections.busy)
        self._busy.set(connections.busy)
        self._attempts.value = connections.attempts
        self._failures.value = connections.failures
