"""Brings spans to a collector: queued in bounded memory, sent in batches by a thread.

Rules that hold here: whoever ends a span never waits, and never learns of a failure; what does not
fit into the queue is dropped and counted, and so is what the collector did not take; a collector
that is away is told of once, and once more when it is back. The limits are those of OpenTelemetry's
own batch processor, under its variables.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, Self

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from perdure.config.errors import ConfigError
from perdure.telemetry.logging import get_logger

CLOSE_SECONDS = 3.0
"""How long closing may take: a collector that answers needs far less for a whole queue."""
_MILLISECONDS = 1_000


class SpanObserver(Protocol):
    """Hears of spans, for metrics; of each kind from one thread only."""

    def spans_exported(self, count: int) -> None:
        """The collector has taken so many."""
        ...

    def spans_refused(self, count: int) -> None:
        """The collector has not taken so many: they are lost."""
        ...

    def spans_dropped(self, count: int) -> None:
        """There was no room for so many: they are lost."""
        ...


class QueueLimits(NamedTuple):
    """Bounds of a queue.

    Attributes:
        spans: Most that wait.
        batch: Most that are sent together.
        delay_seconds: How long one waits for others.
    """

    spans: int = 2048
    batch: int = 512
    delay_seconds: float = 5.0

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Returns what the variables OTEL_BSP_* say.

        Raises:
            ConfigError: One of them is no number above 0.
        """
        spans = _number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        batch = _number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
        delay = _number(environment, "OTEL_BSP_SCHEDULE_DELAY", 5000)
        return cls(spans, min(batch, spans), delay / _MILLISECONDS)


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ConfigError(f'{name} is "{text}": it must be a number above 0')
    return int(text)


class SpanQueue(SpanProcessor):
    """Takes sampled spans as they end."""

    def __init__(
        self, exporter: SpanExporter, *, collector: str, limits: QueueLimits, observer: SpanObserver
    ) -> None:
        """Starts the thread that sends.

        Args:
            exporter: Sends a batch; may take its time.
            collector: Whom to, for the log.
            limits: Bounds.
            observer: Told of what became of spans.
        """
        self._exporter = exporter
        self._collector = collector
        self._limits = limits
        self._observer = observer
        self._log = get_logger("tracing")
        self._spans: deque[ReadableSpan] = deque()
        self._wanted = threading.Event()
        self._idle = threading.Condition()
        self._sending = False
        self._closed = False
        self._refused = 0
        self._thread = threading.Thread(target=self._run, name="send-spans", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Does nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queues a span, if it is sampled and there is room."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        if self._closed or len(self._spans) >= self._limits.spans:
            self._observer.spans_dropped(1)
            return
        self._spans.append(span)
        if len(self._spans) >= self._limits.batch:
            self._wanted.set()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Sends what waits now; returns whether that was done in time."""
        self._wanted.set()
        with self._idle:
            return self._idle.wait_for(self._is_idle, timeout_millis / _MILLISECONDS)

    def shutdown(self) -> None:
        """Sends what waits, unless the collector is away; takes a bounded time."""
        if self._closed:
            return
        self._closed = True
        self._wanted.set()
        self._thread.join(CLOSE_SECONDS)
        # Ends a call that is still under way.
        self._exporter.shutdown()

    def _is_idle(self) -> bool:
        return not self._spans and not self._sending

    def _run(self) -> None:
        while not self._closed:
            self._wanted.wait(self._limits.delay_seconds)
            self._wanted.clear()
            self._send_all()

    def _send_all(self) -> None:
        # Closing waits for no collector that is away.
        while self._spans and not (self._closed and self._refused):
            self._sending = True
            count = min(len(self._spans), self._limits.batch)
            self._send([self._spans.popleft() for _ in range(count)])
            self._sending = False
        with self._idle:
            self._idle.notify_all()

    def _send(self, batch: Sequence[ReadableSpan]) -> None:
        try:
            taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
            reason = ""
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread has to go on
            taken, reason = False, str(error) or type(error).__name__
        if taken:
            self._took(len(batch))
        else:
            self._lost(len(batch), reason)

    def _took(self, count: int) -> None:
        self._observer.spans_exported(count)
        if self._refused:
            self._log.info("traces are sent again", collector=self._collector, lost=self._refused)
            self._refused = 0

    def _lost(self, count: int, reason: str) -> None:
        self._observer.spans_refused(count)
        if not self._refused:
            self._log.warning(
                "traces cannot be sent, and are dropped until they can",
                collector=self._collector,
                **({"reason": reason} if reason else {}),
            )
        self._refused += count
