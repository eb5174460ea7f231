"""The static configuration: what a server needs to know before it starts.

The models are strict: an unknown key or a value of another type is refused, never ignored. The
text below a field is what `perdure config keys` says of it.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from perdure.config import addresses
from perdure.config.otel import Otel
from perdure.core.slots import SLOT_COUNT

Role = Literal["frontend", "history", "matching", "worker"]
SearchAttributeType = Literal["Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList"]
LogLevel = Literal["debug", "info", "warn", "error", "never"]
LogFormat = Literal["text", "json", "pretty"]
ALL_ROLES: tuple[Role, ...] = ("frontend", "history", "matching", "worker")

CLOCK_MARGIN_SECONDS = 0.5
"""How much earlier than the others a node gives its lease up: two clocks never agree."""


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class _Listener(_Model):
    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on."""
    port: int = Field(default=0, ge=0, le=65535)
    """The TCP port; 0 takes a free one."""
    advertised: str = ""
    """`host` or `host:port` that others are told, where it differs."""

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, host: str) -> str:
        return host[1:-1] if host.startswith("[") and host.endswith("]") else host

    @field_validator("advertised")
    @classmethod
    def _can_be_called(cls, advertised: str) -> str:
        if not advertised:
            return advertised
        try:
            host, _ = addresses.split(advertised)
        except ValueError as error:
            raise ValueError(f'the advertised address "{advertised}" {error}') from None
        if addresses.is_wildcard(host):
            raise ValueError(
                f'nobody can call the advertised address "{advertised}":'
                " name an address of this host that others reach"
            )
        return advertised

    def address(self, bound_port: int) -> str:
        """Returns the `host:port` that others are told, once the port is open."""
        if not self.advertised:
            return addresses.join(self.host, bound_port)
        host, port = addresses.split(self.advertised)
        return addresses.join(host, port or bound_port)


class Listener(_Listener):
    """Where a port is opened for clients. Port 0 takes a free one."""

    port: int = Field(default=7233, ge=0, le=65535)
    """The TCP port; 0 takes a free one."""
    shared: bool = False
    """Whether other processes may listen on the same port, each for a part of the connections."""


class InternodeListener(_Listener):
    """Where the other nodes of a cluster reach this process."""

    port: int = Field(default=7234, ge=0, le=65535)
    """The TCP port; 0 takes a free one. The next process of `processes` has the next port."""


class Listeners(_Model):
    """The ports of a node."""

    grpc: Listener = Listener()
    """For clients and workers: opened by frontends."""
    internode: InternodeListener = InternodeListener()
    """For the other nodes of a cluster."""


class Node(_Model):
    """This process as a member of a cluster."""

    name: str = ""
    """Unique among the nodes and the same across restarts; the host's name, if empty."""
    lease_seconds: float = Field(default=6.0, gt=0.0)
    """How long after its last heartbeat a node counts as alive: what a crash costs its shards."""
    heartbeat_seconds: float = Field(default=1.0, gt=0.0)
    """Longest pause between two heartbeats."""
    drain_seconds: float = Field(default=30.0, ge=0.0)
    """How long a node that is told to stop may take to give its work away."""

    @model_validator(mode="after")
    def _survives_two_failures(self) -> Self:
        shortest = 3 * (self.heartbeat_seconds + CLOCK_MARGIN_SECONDS)
        if self.lease_seconds <= shortest:
            raise ValueError(
                f"node.lease_seconds must be more than {shortest:g}, so that two heartbeats"
                f" {self.heartbeat_seconds:g} s apart may fail before the lease ends"
            )
        return self


class Cluster(_Model):
    """What the first node that ever starts settles for the whole cluster."""

    shards: int = Field(default=32, ge=1, le=SLOT_COUNT)
    """Parts that history is divided into; used only while the store has none."""


class ProcessGroup(_Model):
    """Like processes of this host: `name` "history" with `count` 2 is history-0 and history-1."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=40)
    """What the processes are called; each gets a number behind it."""
    roles: list[Role] = Field(min_length=1)
    """What each of them does."""
    count: int = Field(default=1, ge=1, le=256)
    """How many there are."""


class Store(_Model):
    """Which database holds everything."""

    kind: Literal["sqlite", "memory", "postgres"] = "memory"
    """Which database; in memory, nothing outlives the process."""
    path: str = ""
    """The SQLite file."""
    dsn: str = Field(default="", repr=False)
    """The PostgreSQL connection string."""
    readers: int = Field(default=4, ge=1, le=100)
    """Connections to PostgreSQL for reads; a process holds three more for everything else."""
    timeout_seconds: float = Field(default=10.0, ge=1.0, le=300.0)
    """How long PostgreSQL may take to answer before it counts as unavailable."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "sqlite" and not self.path:
            raise ValueError("a sqlite store needs a path")
        if self.kind == "postgres" and not self.dsn:
            raise ValueError("a postgres store needs a dsn")
        return self

    def describe(self) -> str:
        """Returns where the data is, without secrets."""
        return {"sqlite": self.path, "memory": "in-memory", "postgres": "postgres"}[self.kind]


class Metrics(_Model):
    """Where Prometheus scrapes this process."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = Field(default=0, ge=0, le=65535)
    """The TCP port of /metrics; 0 takes a free one."""


class Logging(_Model):
    """What is logged, and how it looks."""

    level: LogLevel = "info"
    """The least serious lines that are written."""
    format: LogFormat = "json"
    """How a line looks."""


class Tracing(_Model):
    """Where spans go, in short; `otel` says more, and OTEL_* variables do without either."""

    otlp_endpoint: str = ""
    """URL of an OTLP collector that takes gRPC; needs the extra `tracing`."""


class DynamicSettings(_Model):
    """A file of settings that is read again while the server runs."""

    path: str = ""
    """A YAML file in the form of Temporal's dynamic configuration; without one, none is read."""
    poll_seconds: float = Field(default=10.0, ge=0.1, le=3600.0)
    """How often it is looked at."""


class ServerConfig(_Model):
    """Everything that a node is told when it starts."""

    listeners: Listeners = Listeners()
    """The ports of a node."""
    roles: list[Role] = Field(default=list(ALL_ROLES), min_length=1)
    """What this process does; all of it, unless the store is postgres."""
    processes: list[ProcessGroup] = []
    """The processes of this host; without them, one process with `roles`."""
    node: Node = Node()
    """This process as a member of a cluster."""
    cluster: Cluster = Cluster()
    """What the first node that ever starts settles for the whole cluster."""
    store: Store = Store()
    """Which database holds everything."""
    metrics: Metrics | None = None
    """Where Prometheus scrapes this process; without this section, nowhere."""
    logging: Logging = Logging()
    """What is logged, and how it looks."""
    tracing: Tracing = Tracing()
    """Where spans go, in short; without one, here, in `otel` or in the environment, none are."""
    otel: Otel = Otel()
    """Where traces are sent, in the form of Temporal's configuration."""
    namespaces: list[str] = []
    """Namespaces to make when they do not exist."""
    search_attributes: dict[str, SearchAttributeType] = {}
    """Search attributes by name, to add to each of these namespaces."""
    settings: dict[str, JsonValue] = {}
    """Values of settings by key; `perdure config settings` lists them."""
    dynamic_settings: DynamicSettings = DynamicSettings()
    """A file of settings that is read again while the server runs."""

    @field_validator("processes")
    @classmethod
    def _distinct(cls, groups: list[ProcessGroup]) -> list[ProcessGroup]:
        names = [group.name for group in groups]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'two of processes: have the name "{name}": raise count instead')
        return groups
