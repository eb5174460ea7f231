"""`perdure server start`: the processes of this host as a configuration file describes them."""

import sys
from functools import partial
from pathlib import Path
from typing import get_args

import click
import structlog

from perdure.app import supervisor
from perdure.app.failures import said_in_a_sentence
from perdure.app.planning import plan
from perdure.config import file
from perdure.config.file import ConfigFile
from perdure.config.processes import Process, pick
from perdure.config.static import Role


@click.command("start", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="YAML file; see `perdure config check`.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(get_args(Role)),
    help="Role to run instead of the file's; repeatable.",
)
@click.option("--process", "name", help="Run this one of the file's processes only.")
def start(path: Path, roles: tuple[Role, ...], name: str | None) -> None:
    """Run this host's processes.

    Without processes: in the file this is one process; with them it starts each and watches it.
    """
    with said_in_a_sentence():
        read = file.read(path)
        planned = plan(read, roles=roles)
        if name is not None:
            _run(read, pick(planned, name))
        elif read.config.processes:
            sys.exit(supervisor.run(path, read.config, planned))
        else:
            _run(read, planned[0])


def _run(read: ConfigFile, process: Process) -> None:
    # Not before: a supervisor must not import gRPC.
    from perdure.app import composition  # noqa: PLC0415
    from perdure.app.launch import run  # noqa: PLC0415

    composition.check(read)
    if process.name:
        # Several processes write to one log.
        structlog.contextvars.bind_contextvars(node=process.config.node.name)
    run(
        partial(composition.serve, process.config, strict=True),
        drain_seconds=process.config.node.drain_seconds,
    )
