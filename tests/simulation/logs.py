"""What the server logs during a run, as a part of its journal.

Rules that hold here: what is logged as an error was not foreseen by whoever wrote the code, so it
is a broken invariant.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog

from simulation.trace import Trace


@contextmanager
def logs_in(trace: Trace) -> Iterator[None]:
    """Writes down warnings and errors for as long as the context lasts."""

    def note(_logger: object, level: str, line: structlog.typing.EventDict) -> NoReturn:
        text = f"{line.pop('event')} {_fields(line)}"
        if level in ("error", "critical", "exception"):
            trace.violation(f"logged as an error: {text}")
        else:
            trace.note("log", text)
        raise structlog.DropEvent

    before: dict[str, Any] = structlog.get_config()
    structlog.configure(
        processors=[note],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _fields(line: structlog.typing.EventDict) -> str:
    return " ".join(f"{name}={value!r}" for name, value in sorted(line.items()))
