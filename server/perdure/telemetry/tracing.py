"""Spans: where a request's time goes, across machines and through timers.

Code that may be traced holds a `Tracer`. The one that is off hands out one shared object and makes
nothing; callers whose preparations cost anything look at `enabled` first. The other one is
OpenTelemetry's (`opentelemetry.py`), loaded only when the configuration or the environment asks for
it. Between machines trace contexts travel as W3C headers; with what is stored (tasks, timers,
messages) goes a `Cause`, by which what happens later is linked to the request that brought it
about.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Protocol, Self

SpanKind = Literal["server", "client", "producer", "consumer", "internal"]

Cause = bytes
"""Names a sampled span: its trace's id (16 bytes) and its own (8 bytes). Empty where there is none,
so that without tracing nothing is stored."""


class Span(Protocol):
    """Something that takes time, while it is going on."""

    def set(self, name: str, value: str | float | bool) -> None:
        """Adds an attribute."""
        ...

    def failed(self, sentence: str) -> None:
        """Marks the span as failed."""
        ...


class Tracer(Protocol):
    """Makes spans."""

    @property
    def enabled(self) -> bool:
        """Whether spans are made at all."""
        ...

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = "internal",
        caller: Mapping[str, str | bytes] | None = None,
        causes: Sequence[Cause] = (),
        attributes: Mapping[str, str | int] | None = None,
    ) -> AbstractContextManager[Span]:
        """Opens a span until the context ends; meanwhile it is the one around the caller.

        Args:
            name: The span's.
            kind: The span's.
            caller: Headers of the call that it serves: it continues the trace that they name, or
                begins one. None: it is a child of the span around the caller, if there is one.
            causes: What it is linked to. One that begins a trace is sampled as a child of the first
                of them would be.
            attributes: The span's.
        """
        ...

    def record(
        self,
        name: str,
        *,
        began: int,
        ended: int,
        kind: SpanKind = "client",
        below: Cause | None = None,
        attributes: Mapping[str, str | int] | None = None,
        error: str = "",
    ) -> None:
        """Makes a span of what is over; without one above it, nothing.

        Args:
            name: The span's.
            began: Nanoseconds since the Unix epoch.
            ended: The same.
            kind: The span's.
            below: The span above it; None for the one around the caller.
            attributes: The span's.
            error: Why it failed, if it did.
        """
        ...

    def link(self, cause: Cause) -> None:
        """Links the span around the caller to another one, if there are both."""
        ...

    def cause(self) -> Cause:
        """Returns the name of the span around the caller, to be stored; empty if not sampled."""
        ...

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Returns what a call has to carry; nothing where there is no span around the caller."""
        ...

    def ids(self) -> tuple[str, str] | None:
        """Returns trace id and span id, in hexadecimal, of the span around the caller."""
        ...

    def close(self) -> None:
        """Sends what has not been sent, for a bounded time; blocks meanwhile."""
        ...


class _NoSpan:
    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def set(self, name: str, value: str | float | bool) -> None:
        """Does nothing."""

    def failed(self, sentence: str) -> None:
        """Does nothing."""


_NO_SPAN = _NoSpan()


class NoTracer:
    """The tracer that is off."""

    __slots__ = ()
    enabled = False

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = "internal",
        caller: Mapping[str, str | bytes] | None = None,
        causes: Sequence[Cause] = (),
        attributes: Mapping[str, str | int] | None = None,
    ) -> AbstractContextManager[Span]:
        """Returns the one span that records nothing."""
        return _NO_SPAN

    def record(
        self,
        name: str,
        *,
        began: int,
        ended: int,
        kind: SpanKind = "client",
        below: Cause | None = None,
        attributes: Mapping[str, str | int] | None = None,
        error: str = "",
    ) -> None:
        """Makes nothing."""

    def link(self, cause: Cause) -> None:
        """Links nothing."""

    def cause(self) -> Cause:
        """Returns the empty one."""
        return b""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Returns none."""
        return ()

    def ids(self) -> tuple[str, str] | None:
        """Returns none."""
        return None

    def close(self) -> None:
        """Has nothing to send."""


NO_TRACING: Tracer = NoTracer()
"""The tracer to use where none is configured."""
