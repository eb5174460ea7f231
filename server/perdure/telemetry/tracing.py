"""Spans: where a request's time goes, across machines and through timers.

Code that may be traced holds a `Tracer`. The one that is off hands out one shared object and makes
nothing. The other is OpenTelemetry's, loaded only when the configuration or the environment names
an endpoint: then spans carry W3C trace contexts in and out as `traceparent` strings. What the
standard `OTEL_*` variables say is read by OpenTelemetry's SDK itself.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Protocol, Self

from perdure.config.errors import ConfigError

SpanKind = Literal["server", "client", "internal"]


class Span(Protocol):
    """Something that takes time, while it is going on."""

    def set(self, name: str, value: str | float | bool) -> None:
        """Adds an attribute."""
        ...

    def failed(self, sentence: str) -> None:
        """Marks the span as failed."""
        ...

    def traceparent(self) -> str:
        """Returns the W3C context that makes other spans children of this one, or ""."""
        ...

    def trace_id(self) -> str:
        """Returns the trace's id in 32 hexadecimal digits, or ""."""
        ...


class Tracer(Protocol):
    """Makes spans."""

    @property
    def enabled(self) -> bool:
        """Whether spans go anywhere: callers skip what only a span would need."""
        ...

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = "internal",
        parent: str = "",
        attributes: Mapping[str, str | int] | None = None,
    ) -> AbstractContextManager[Span]:
        """Opens a span until the context ends; `parent` is a traceparent."""
        ...

    def record(
        self,
        name: str,
        *,
        began: int,
        ended: int,
        attributes: Mapping[str, str | int] | None = None,
        error: str = "",
    ) -> None:
        """Makes a span of what is over, below the span around the caller; without one, nothing.

        Args:
            name: The span's.
            began: Nanoseconds since the Unix epoch.
            ended: The same.
            attributes: The span's.
            error: Why it failed, if it did.
        """
        ...

    def close(self) -> None:
        """Sends what has not been sent."""
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

    def traceparent(self) -> str:
        """Returns nothing."""
        return ""

    trace_id = traceparent


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
        parent: str = "",
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
        attributes: Mapping[str, str | int] | None = None,
        error: str = "",
    ) -> None:
        """Makes nothing."""

    def close(self) -> None:
        """Has nothing to send."""


NO_TRACING: Tracer = NoTracer()
"""The tracer to use where none is configured."""


_ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def connect(*, endpoint: str, service_version: str, environment: Mapping[str, str]) -> Tracer:
    """Returns a tracer that sends spans to an OTLP endpoint such as `http://127.0.0.1:4317`.

    Args:
        endpoint: Where to, by gRPC. Empty: where the environment says, or nowhere.
        service_version: Sent with every span.
        environment: The process's.

    Raises:
        ConfigError: The OpenTelemetry packages are not installed.
    """
    if not endpoint and not any(environment.get(name) for name in _ENDPOINT_VARIABLES):
        return NO_TRACING
    try:
        from perdure.telemetry.opentelemetry import otlp_tracer  # noqa: PLC0415 costs memory only where it is used
    except ImportError as error:
        raise ConfigError(
            "tracing needs the OpenTelemetry packages: pip install 'perdure[tracing]'"
        ) from error
    return otlp_tracer(endpoint, service_version) or NO_TRACING
