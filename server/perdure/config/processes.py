"""Which processes a configuration means on one host, and what each of them is told.

Rules that hold here: what a process gets is a whole `ServerConfig` of its own, so that nobody else
knows of several processes; whatever cannot run is said before anything starts.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from perdure.config import addresses
from perdure.config.errors import ConfigError
from perdure.config.names import suggestion
from perdure.config.static import ALL_ROLES, Role, ServerConfig

Location = tuple[str | int, ...]


class CannotRun(ConfigError):
    """Sections of the configuration do not go together; `location` names the key at fault."""

    def __init__(self, location: Location, sentence: str) -> None:
        super().__init__(sentence)
        self.location = location


class Process(NamedTuple):
    """A process of this host: its name here, and all that it is told.

    The name is empty for the one process of a configuration without `processes`.
    """

    name: str
    config: ServerConfig


def plan(config: ServerConfig, *, host_name: str) -> list[Process]:
    """Returns the processes of this host, in the order of their ports.

    Raises:
        CannotRun: The configuration is not one that can run.
    """
    if config.processes:
        _require_no_roles(config)
        planned = list(_several(config, host_name))
    else:
        planned = [Process("", _named(config, config.node.name or host_name))]
    _require_whole_server(config, planned)
    _require_shareable_port(config, planned)
    for process in planned:
        _require_reachable(process.config)
    _require_distinct_ports(planned)
    return planned


def pick(planned: Sequence[Process], name: str) -> Process:
    """Returns a process by its name.

    Raises:
        ConfigError: There is none of that name.
    """
    for process in planned:
        if process.name == name:
            return process
    known = [process.name for process in planned if process.name]
    if not known:
        raise ConfigError(
            f'there is no process "{name}": the configuration has no processes:, so leave out'
            " --process"
        )
    raise ConfigError(
        f'there is no process "{name}"{suggestion(name, known)}; there are {", ".join(known)}'
    )


def _several(config: ServerConfig, host_name: str) -> Iterator[Process]:
    names = [
        (f"{group.name}-{number}", group.roles)
        for group in config.processes
        for number in range(group.count)
    ]
    frontends = sum("frontend" in roles for _, roles in names)
    for index, (name, roles) in enumerate(names):
        told = _named(config, f"{config.node.name or host_name}/{name}")
        yield Process(name, _with_ports(told, roles, index, shared=frontends > 1))


def _named(config: ServerConfig, name: str) -> ServerConfig:
    return config.model_copy(update={"node": config.node.model_copy(update={"name": name})})


def _with_ports(
    config: ServerConfig, roles: Sequence[Role], index: int, *, shared: bool
) -> ServerConfig:
    """Returns what the process number `index` is told."""
    internode = config.listeners.internode
    internode = internode.model_copy(
        update={
            "port": _shifted(internode.port, index, "internode"),
            "advertised": _shifted_address(internode.advertised, index),
        }
    )
    grpc = config.listeners.grpc
    grpc = grpc.model_copy(update={"shared": grpc.shared or shared})
    listeners = config.listeners.model_copy(update={"grpc": grpc, "internode": internode})
    metrics = config.metrics
    if metrics is not None:
        metrics = metrics.model_copy(update={"port": _shifted(metrics.port, index, "metrics")})
    return config.model_copy(
        update={
            "roles": list(roles),
            "processes": [],
            "listeners": listeners,
            "metrics": metrics,
        }
    )


def _shifted(port: int, index: int, what: str) -> int:
    if port and port + index > addresses.LAST_PORT:
        raise CannotRun(
            ("processes",),
            f"process {index + 1} would have the {what} port {port + index}, and"
            f" {addresses.LAST_PORT} is the last: choose a lower one to count from",
        )
    return port + index if port else 0


def _shifted_address(advertised: str, index: int) -> str:
    if not advertised:
        return ""
    host, port = addresses.split(advertised)
    return advertised if port is None else addresses.join(host, _shifted(port, index, "advertised"))


def _require_no_roles(config: ServerConfig) -> None:
    if "roles" in config.model_fields_set:
        raise CannotRun(("roles",), "roles: has no effect beside processes:, so leave out one")


def _require_whole_server(config: ServerConfig, planned: Sequence[Process]) -> None:
    kind = config.store.kind
    if kind == "postgres":
        return
    if len(planned) > 1:
        raise CannotRun(
            ("processes",),
            f"a {kind} store serves one process only: leave out processes:, or use a postgres"
            " store",
        )
    missing = [role for role in ALL_ROLES if role not in planned[0].config.roles]
    if missing:
        raise CannotRun(
            ("processes",) if config.processes else ("roles",),
            f"a process without {', '.join(missing)} cannot run on a {kind} store, which serves one"
            " process only: give it every role, or use a postgres store",
        )


def _require_shareable_port(config: ServerConfig, planned: Sequence[Process]) -> None:
    frontends = [process for process in planned if "frontend" in process.config.roles]
    if len(frontends) > 1 and config.listeners.grpc.port == 0:
        raise CannotRun(
            ("listeners", "grpc", "port"),
            f"{len(frontends)} frontends share the gRPC port, which 0 leaves open: give it a"
            " number",
        )


def _require_reachable(config: ServerConfig) -> None:
    listener = config.listeners.internode
    if config.store.kind != "postgres":
        return
    if not listener.advertised and addresses.is_wildcard(listener.host):
        raise CannotRun(
            ("listeners", "internode"),
            f"other nodes cannot call {addresses.join(listener.host, listener.port)}: give"
            " listeners.internode.advertised, an address of this host that they reach",
        )


def _require_distinct_ports(planned: Sequence[Process]) -> None:
    """Refuses one port for two things, where the addresses may be the same."""
    taken: dict[int, tuple[str, str]] = {}
    for port, host, what in _ports(planned):
        other = taken.setdefault(port, (host, what))
        if other != (host, what) and _overlap(other[0], host):
            raise CannotRun(
                ("listeners",),
                f"port {port} is wanted for {other[1]} and for {what}: choose ports that lie"
                " further apart",
            )


def _ports(planned: Sequence[Process]) -> Iterator[tuple[int, str, str]]:
    for process in planned:
        config = process.config
        of = f" of {process.name}" if process.name else ""
        grpc, internode = config.listeners.grpc, config.listeners.internode
        if grpc.port and "frontend" in config.roles:
            yield grpc.port, grpc.host, "gRPC"
        if internode.port and config.store.kind == "postgres":
            yield internode.port, internode.host, f"internode{of}"
        if config.metrics is not None and config.metrics.port:
            yield config.metrics.port, config.metrics.host, f"metrics{of}"


def _overlap(one: str, other: str) -> bool:
    return one == other or addresses.is_wildcard(one) or addresses.is_wildcard(other)
