"""The static configuration: what a server needs to know before it starts.

The models are strict: an unknown key or a value of another type is refused, never ignored.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

Role = Literal["frontend", "history", "matching", "worker"]
SearchAttributeType = Literal["Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList"]
LogLevel = Literal["debug", "info", "warn", "error", "never"]
LogFormat = Literal["text", "json", "pretty"]
ALL_ROLES: tuple[Role, ...] = ("frontend", "history", "matching", "worker")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Listener(_Model):
    """Where a port is opened. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = Field(default=7233, ge=0, le=65535)
    advertised: str = ""
    """`host:port` that other nodes and clients are told, where it differs."""


class Listeners(_Model):
    """The ports of a node."""

    grpc: Listener = Listener()


class Store(_Model):
    """Which database holds everything."""

    kind: Literal["sqlite", "memory", "postgres"] = "memory"
    path: str = ""
    """The SQLite file."""
    dsn: str = ""
    """The PostgreSQL connection string."""

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
    port: int = Field(default=0, ge=0, le=65535)


class Logging(_Model):
    """What is logged, and how it looks."""

    level: LogLevel = "info"
    format: LogFormat = "json"


class Tracing(_Model):
    """Where spans go; an empty endpoint means that none are made."""

    otlp_endpoint: str = ""


class ServerConfig(_Model):
    """Everything that a node is told when it starts."""

    listeners: Listeners = Listeners()
    roles: list[Role] = Field(default=list(ALL_ROLES), min_length=1)
    store: Store = Store()
    metrics: Metrics | None = None
    logging: Logging = Logging()
    tracing: Tracing = Tracing()
    namespaces: list[str] = []
    search_attributes: dict[str, SearchAttributeType] = {}
    settings: dict[str, JsonValue] = {}
