"""`perdure server start-dev`: every role in one process, with the flags of the real dev server.

SDKs start it in the real one's place, so every flag of that is accepted; given ones that have no
effect here are named in a line.
"""

import socket
from collections.abc import Iterable
from functools import partial
from typing import cast, get_args

import click

from perdure.app import composition, dev_flags
from perdure.app.failures import said_in_a_sentence
from perdure.app.launch import run
from perdure.config.errors import ConfigError
from perdure.config.names import suggestion
from perdure.config.processes import plan
from perdure.config.settings import parse_assignments
from perdure.config.static import (
    Listener,
    Listeners,
    LogFormat,
    Logging,
    LogLevel,
    Metrics,
    SearchAttributeType,
    ServerConfig,
    Store,
)


@click.command("start-dev", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-p", "--port", type=dev_flags.PORT, default=7233, show_default=True, help="gRPC.")
@click.option("--ip", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--metrics-port", type=dev_flags.PORT, default=0, help="Of /metrics; 0 is any.")
@click.option("-f", "--db-filename", default="", help="SQLite file; without it, memory only.")
@click.option("-n", "--namespace", multiple=True, help="Namespace to create; repeatable.")
@click.option("--search-attribute", multiple=True, help="NAME=TYPE to register; repeatable.")
@click.option("--dynamic-config-value", multiple=True, help="KEY=JSON setting; repeatable.")
@click.option("--log-level", type=click.Choice(get_args(LogLevel)), default="warn")
@click.option("--log-format", type=click.Choice(get_args(LogFormat)), default="text")
@dev_flags.switch("--log-config", text="Print the configuration to stderr.")
@dev_flags.accept_without_effect
@click.pass_context
def start_dev(
    context: click.Context,
    *,
    port: int,
    ip: str,
    metrics_port: int,
    db_filename: str,
    namespace: tuple[str, ...],
    search_attribute: tuple[str, ...],
    dynamic_config_value: tuple[str, ...],
    log_level: LogLevel,
    log_format: LogFormat,
    log_config: bool,
) -> None:
    """Run every role in this process, for development."""
    with said_in_a_sentence():
        config = ServerConfig(
            listeners=Listeners(grpc=Listener(host=ip, port=port)),
            store=Store(kind="sqlite", path=db_filename) if db_filename else Store(),
            metrics=Metrics(host=ip, port=metrics_port),
            logging=Logging(level=log_level, format=log_format),
            namespaces=list(dict.fromkeys(("default", *namespace))),
            search_attributes=_search_attributes(search_attribute),
            settings=parse_assignments(dynamic_config_value),
        )
        if log_config:
            click.echo(config.model_dump_json(indent=2), err=True)
        remarks = dev_flags.remarks(context)
        (process,) = plan(config, host_name=socket.gethostname())
        run(partial(composition.serve, process.config, strict=False, remarks=remarks))


def _search_attributes(assignments: Iterable[str]) -> dict[str, SearchAttributeType]:
    known = get_args(SearchAttributeType)
    found: dict[str, SearchAttributeType] = {}
    for assignment in assignments:
        name, equals, kind = assignment.partition("=")
        if not (name and equals):
            raise ConfigError(f'search attribute "{assignment}" is not of the form NAME=TYPE')
        if kind not in known:
            raise ConfigError(
                f'search attribute "{name}" has the type "{kind}"{suggestion(kind, known)};'
                f" types are {', '.join(known)}"
            )
        found[name] = cast("SearchAttributeType", kind)
    return found
