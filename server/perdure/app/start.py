"""`perdure server start`: a node as a configuration file describes it."""

from functools import partial
from pathlib import Path
from typing import get_args

import click

from perdure.app import composition
from perdure.app.failures import said_in_a_sentence
from perdure.app.launch import run
from perdure.config import file
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
def start(path: Path, roles: tuple[Role, ...]) -> None:
    """Run a node."""
    with said_in_a_sentence():
        checked = composition.check(file.read(path))
        config = checked.model_copy(update={"roles": list(roles)}) if roles else checked
        run(partial(composition.serve, config, strict=True))
