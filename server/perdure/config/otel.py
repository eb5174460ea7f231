"""Where traces go, in the form of Temporal's configuration: its section `otel`.

What only its own gRPC library has is accepted, so that a file can be kept, and has no effect here:
each such key says so.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from perdure.config.durations import Duration


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class Backoff(_Model):
    """Pauses between attempts to connect."""

    base_delay: Duration = "1s"
    """The first pause."""
    multiplier: float = 1.6
    """Accepted, without effect: gRPC's own is this."""
    jitter: float = 0.2
    """Accepted, without effect: gRPC's own is this."""
    max_delay: Duration = "120s"
    """The longest pause."""


class ConnectParams(_Model):
    """How gRPC connects."""

    min_connect_timeout: Duration = "10s"
    """How long an attempt may take at least."""
    backoff: Backoff = Backoff()
    """Pauses between attempts."""


class Connection(_Model):
    """A collector."""

    endpoint: str = ""
    """`host:port` for gRPC; for HTTP a URL, to which `/v1/traces` is added where it has no path."""
    insecure: bool = False
    """Whether the connection is without TLS."""
    authority: str = ""
    """By gRPC: the host name that the certificate must have, where it is another one."""
    user_agent: str = ""
    """What the exporter calls itself."""
    connect_params: ConnectParams = ConnectParams()
    """How gRPC connects."""
    block: bool = False
    """Accepted, without effect: nothing ever waits for the connection."""
    read_buffer_size: int = 0
    """Accepted, without effect."""
    write_buffer_size: int = 0
    """Accepted, without effect."""


class Metadata(_Model):
    """What things are called."""

    name: str = ""
    """By which exporters name a connection."""
    labels: dict[str, str] = {}
    """For people."""


class NamedConnection(_Model):
    """A connection that exporters name."""

    kind: Literal["grpc"]
    """What it is."""
    metadata: Metadata = Metadata()
    """What it is called."""
    spec: Connection
    """The collector."""


class ExporterKind(_Model):
    """What is exported, and how."""

    signal: Literal["traces", "trace", "metrics"]
    """Only traces are sent: an exporter of metrics is accepted, without effect."""
    model: Literal["otlp"]
    """The protocol."""
    proto: Literal["grpc", "http"]
    """What carries it; Temporal has gRPC only."""


class Retry(_Model):
    """Accepted, without effect: a batch is tried again, with growing pauses, within `timeout`."""

    enabled: bool = True
    """Accepted, without effect."""
    initial_interval: Duration = "5s"
    """Accepted, without effect."""
    max_interval: Duration = "30s"
    """Accepted, without effect."""
    max_elapsed_time: Duration = "1m"
    """Accepted, without effect."""


class ExporterSpec(_Model):
    """One exporter."""

    connection_name: str = ""
    """One of `otel.connections`; empty for the connection below."""
    connection: Connection = Connection()
    """The collector."""
    headers: dict[str, str] = Field(default={}, repr=False)
    """Sent with every batch."""
    timeout: Duration = "10s"
    """How long a batch may take, repetitions included."""
    retry: Retry = Retry()
    """Accepted, without effect."""


class Exporter(_Model):
    """Where something is sent."""

    kind: ExporterKind
    """What is exported, and how."""
    metadata: Metadata = Metadata()
    """For people."""
    spec: ExporterSpec
    """Where to."""


class Otel(_Model):
    """OpenTelemetry, as Temporal configures it; it goes before the variables OTEL_EXPORTER_*."""

    connections: list[NamedConnection] = []
    """Connections that exporters share by name."""
    exporters: list[Exporter] = []
    """Where traces are sent; needs the extra `tracing`."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        names = {connection.metadata.name for connection in self.connections}
        for exporter in self.exporters:
            name = exporter.spec.connection_name
            if name and name not in names:
                raise ValueError(f'otel.connections has none of the name "{name}"')
            if not name and not exporter.spec.connection.endpoint:
                raise ValueError("an exporter of otel needs a spec.connection.endpoint")
        return self

    def connection(self, exporter: Exporter) -> Connection:
        """Returns the connection that an exporter uses."""
        name = exporter.spec.connection_name
        named = (each.spec for each in self.connections if each.metadata.name == name)
        return next(named) if name else exporter.spec.connection
