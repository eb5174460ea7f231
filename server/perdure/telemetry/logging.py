"""Logs: structured lines on stderr, with Temporal's tag names.

A call gives tags as keywords (`log.info("shard acquired", shard_id=3)`); they are written as the
real server writes them (`shard-id`). Levels below the configured one cost a method that returns.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from perdure.config.static import LogFormat, LogLevel

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
    "activity_id": "activity-id",
    "attempt": "attempt",
    "error_type": "error-type",
    "event_id": "wf-event-id",
    "namespace": "wf-namespace",
    "namespace_id": "wf-namespace-id",
    "request_id": "request-id",
    "run_id": "wf-run-id",
    "shard_id": "shard-id",
    "task_queue": "wf-task-queue-name",
    "task_type": "wf-task-queue-type",
    "workflow_id": "wf-id",
    "workflow_type": "wf-type",
}
"""Keywords that have a name of Temporal's; others only get dashes for underscores."""
_OWN_FIELDS = frozenset({"level", "ts", "msg", "event", "timestamp", "exception", "exc_info"})


def configure(level: LogLevel, form: LogFormat, stream: TextIO | None = None) -> None:
    """Sets up every logger of the process, those of libraries too.

    Args:
        level: The least that is written.
        form: `json`, `text` (logfmt) or `pretty` (for eyes).
        stream: Where lines go; stderr by default.
    """
    output = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _warn_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _tag_names,
    ]
    rendering = _rendering(form, colours=output.isatty())
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=False,
    )
    _configure_libraries(LEVELS[level], output, shared, rendering)


def get_logger(component: str) -> Logger:
    """Returns a logger whose lines name the component they come from."""
    return cast("Logger", structlog.get_logger(component=component))


def _configure_libraries(
    level: int, output: TextIO, shared: list[Processor], rendering: list[Processor]
) -> None:
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


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
