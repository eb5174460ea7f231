"""What history tells metrics of messages from one workflow to another."""

from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics


class MessageMetrics:
    """A `MessageObserver`."""

    def __init__(self, metrics: Metrics) -> None:
        metrics = metrics.scoped(service_name="history")
        self._delivered = metrics.counter(catalogue.MESSAGES_DELIVERED).bind()
        self._refused = metrics.counter(catalogue.MESSAGES_REFUSED).bind()
        self._retried = metrics.counter(catalogue.MESSAGES_RETRIED).bind()

    def message_sent(self, taken: bool) -> None:
        """Counts a message that was answered."""
        (self._delivered if taken else self._refused).inc()

    def message_retried(self) -> None:
        """Counts a message that is sent again later."""
        self._retried.inc()
