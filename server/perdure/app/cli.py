"""The `perdure` command."""

import os

import click

from perdure.app.lazy import LazyGroup, plugin_references
from perdure.config.ciphers import choose_cipher_suites
from perdure.config.version import VERSION


@click.group(
    cls=LazyGroup,
    references=plugin_references(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(VERSION, "-v", "--version", message="%(prog)s %(version)s")
def main() -> None:
    """Perdure: durable execution that speaks Temporal's public API."""
    # What gRPC's core cannot do is an exception that is said in a sentence, not a line on stderr.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    choose_cipher_suites(os.environ)


@main.group(
    cls=LazyGroup,
    references={
        "start": "perdure.app.start:start",
        "start-dev": "perdure.app.start_dev:start_dev",
    },
)
def server() -> None:
    """Run Perdure."""


@main.group(
    cls=LazyGroup,
    references={
        "check": "perdure.app.config_check:check",
        "keys": "perdure.app.config_keys:keys",
        "settings": "perdure.app.config_settings:settings",
    },
)
def config() -> None:
    """Work with configuration."""


@main.group(
    cls=LazyGroup,
    references={
        "migrate": "perdure.app.db:migrate",
        "setup": "perdure.app.db:setup",
        "status": "perdure.app.db:status",
    },
)
def db() -> None:
    """Look after a PostgreSQL database."""


@main.group(cls=LazyGroup, references={"status": "perdure.app.cluster_status:status"})
def cluster() -> None:
    """Look at the nodes of a cluster."""


@main.group(cls=LazyGroup, references={"list": "perdure.app.shard_list:list_shards"})
def shard() -> None:
    """Look at the parts that history is divided into."""


@main.group(cls=LazyGroup, references={"inspect": "perdure.app.workflow_inspect:inspect"})
def workflow() -> None:
    """Look at what is stored of a workflow."""
