"""Raw gRPC statuses that the SDK saw, its own retries included."""

from collections import Counter

from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

_BUFFERED_UPDATES = 100_000
_FAILURES = "temporal_request_failure"
"""The SDK's counter of unary calls that failed; long polls have another one."""


class Statuses:
    """Counts the failures of every client that is connected with its `runtime`.

    Attributes:
        runtime: What to connect with.
        counts: Failures, by "Operation STATUS"; current as of the last `drain`.
    """

    def __init__(self) -> None:
        self._buffer = MetricBuffer(_BUFFERED_UPDATES)
        # The SDK's core would log to standard output, which is for results.
        self.runtime = Runtime(telemetry=TelemetryConfig(logging=None, metrics=self._buffer))
        self.counts: Counter[str] = Counter()

    def drain(self) -> None:
        """Takes in what was counted; to be called often enough for the buffer to hold it all."""
        for update in self._buffer.retrieve_updates():
            if update.metric.name == _FAILURES:
                status = update.attributes.get("status_code", "?")
                name = f"{update.attributes.get('operation', '?')} {status}"
                self.counts[name] += int(update.value)
