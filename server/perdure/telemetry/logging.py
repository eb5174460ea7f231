"""Logs: structured lines on stderr, with Temporal's tag names.

A call gives tags as keywords (`log.info("shard acquired", shard_id=3)`); they are written as the
real server writes them (`shard-id`). Levels below the configured one cost a method that returns.
Inside a span a line has its `trace_id` and `span_id`. Errors and warnings that repeat themselves
are left out (`log_limits.py`).
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from perdure.config.static import LogFormat, LogLevel
from perdure.runtime.clock import SystemClock
from perdure.runtime.ports import Clock
from perdure.telemetry.log_limits import RepeatLimiter

Logger = FilteringBoundLogger
"""What takes log lines. Nothing is ever logged as critical: that level means never."""

LEVELS: dict[LogLevel, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "never": logging.CRITICAL,
}
TAGS = {
    "activity_id": "wf-activity-id",
    "attempt": "attempt",
    "error_type": "service-error-type",
    "event_id": "wf-history-event-id",
    "namespace": "wf-namespace",
    "namespace_id": "wf-namespace-id",
    "request_id": "request-id",
    "run_id": "wf-run-id",
    "scheduled_event_id": "wf-scheduled-event-id",
    "shard_id": "shard-id",
    "task_queue": "wf-task-queue-name",
    "task_type": "wf-task-queue-type",
    "timer_id": "wf-timer-id",
    "workflow_id": "wf-id",
    "workflow_type": "wf-type",
}
"""Keywords that have a name of Temporal's; others only get dashes for underscores."""
_OWN_FIELDS = frozenset(
    {"level", "ts", "msg", "event", "timestamp", "exception", "exc_info", "trace_id", "span_id"}
)
_TROUBLES = frozenset({"error", "warn"})
SpanIds = Callable[[], tuple[str, str] | None]
"""Returns trace id and span id of the span around the caller."""


class TroubleObserver(Protocol):
    """Hears of errors and warnings, for metrics: cheap, and must not log."""

    def error_logged(self, component: str, *, written: bool) -> None:
        """A component has logged an error; `written` unless it was left out as one of many."""
        ...

    def warning_logged(self, component: str, *, written: bool) -> None:
        """A component has logged a warning; `written` unless it was left out as one of many."""
        ...


class _Observed:
    """What a running server tells its log, and wants to know of it."""

    span_ids: SpanIds | None = None
    troubles: TroubleObserver | None = None


_OBSERVED = _Observed()


def observe(*, span_ids: SpanIds | None, troubles: TroubleObserver) -> Callable[[], None]:
    """Has lines name their span, and an observer told of troubles; returns what ends that.

    Args:
        span_ids: Looks for the span; None without tracing.
        troubles: The observer.
    """
    _OBSERVED.span_ids, _OBSERVED.troubles = span_ids, troubles

    def end() -> None:
        if _OBSERVED.troubles is troubles:
            _OBSERVED.span_ids = _OBSERVED.troubles = None

    return end


def configure(
    level: LogLevel, form: LogFormat, stream: TextIO | None = None, clock: Clock | None = None
) -> None:
    """Sets up every logger of the process, those of libraries too.

    Args:
        level: The least that is written.
        form: `json`, `text` (logfmt) or `pretty` (for eyes).
        stream: Where lines go; stderr by default.
        clock: Says how often lines are repeated.
    """
    output = sys.stderr if stream is None else stream
    limit = _TroubleLimit(RepeatLimiter((clock or SystemClock()).monotonic))
    named: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _warn_level,
        _span_ids,
    ]
    rest: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _tag_names,
    ]
    rendering = _rendering(form, colours=output.isatty())
    structlog.configure(
        processors=[*named, limit, *rest, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=False,
    )
    handler = _library_handler(output, [*named, *rest], rendering)
    handler.addFilter(limit.filter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[level], logging.WARNING))


def get_logger(component: str) -> Logger:
    """Returns a logger whose lines name the component they come from."""
    return cast("Logger", structlog.get_logger(component=component))


def get_audit_logger() -> Logger:
    """Returns the logger `audit`: its lines are written whatever level is configured."""
    everything = structlog.make_filtering_bound_logger(logging.INFO)
    return cast("Logger", structlog.wrap_logger(None, wrapper_class=everything, component="audit"))


def _library_handler(
    output: TextIO, shared: list[Processor], rendering: list[Processor]
) -> logging.Handler:
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    return handler


class _TroubleLimit:
    """Leaves out errors and warnings that are repeated: a processor, and a filter of libraries'."""

    def __init__(self, limiter: RepeatLimiter) -> None:
        self._limiter = limiter

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        level = event["level"]
        if level in _TROUBLES:
            # Faults that clients are told of share a sentence, and are of different kinds.
            kind = (str(event["event"]), str(event.get("fault_id", "")))
            left_out = self._admit(level, str(event.get("component", "")), *kind)
            if left_out is None:
                raise structlog.DropEvent
            if left_out:
                event["left_out"] = left_out
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Tells whether a library's line is written."""
        if record.levelno < logging.WARNING:
            return True
        level = "warn" if record.levelno < logging.ERROR else "error"
        left_out = self._admit(level, record.name, str(record.msg))
        if left_out:
            record.left_out = left_out
        return left_out is not None

    def _admit(self, level: str, component: str, *kind: str) -> int | None:
        left_out = self._limiter.admit(level, component, *kind)
        if _OBSERVED.troubles is not None:
            told = _OBSERVED.troubles
            tell = told.error_logged if level == "error" else told.warning_logged
            tell(component, written=left_out is not None)
        return left_out


def _span_ids(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if _OBSERVED.span_ids is not None and (ids := _OBSERVED.span_ids()) is not None:
        event["trace_id"], event["span_id"] = ids
    return event


def _rendering(form: LogFormat, *, colours: bool) -> list[Processor]:
    if form == "pretty":
        plain = structlog.dev.plain_traceback
        return [
            structlog.dev.ConsoleRenderer(
                colors=colours, exception_formatter=plain, timestamp_key="ts", pad_event_to=0
            )
        ]
    names: list[Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("msg"),
    ]
    if form == "json":
        return [*names, structlog.processors.JSONRenderer(sort_keys=False)]
    order = ["ts", "level", "msg", "component"]
    return [*names, structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True)]


def _warn_level(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if event["level"] == "warning":
        event["level"] = "warn"
    return event


def _tag_names(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {
        name
        if name in _OWN_FIELDS or name.startswith("_")
        else TAGS.get(name, name.replace("_", "-")): value
        for name, value in event.items()
    }
