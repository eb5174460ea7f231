"""`perdure config check`: whether a configuration file can be used, without starting anything."""

from pathlib import Path

import click

from perdure.app import composition
from perdure.app.failures import said_in_a_sentence
from perdure.config import file


@click.command("check")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def check(path: Path) -> None:
    """Check a configuration FILE."""
    with said_in_a_sentence():
        composition.check(file.read(path))
    click.echo(f"{path} is a valid configuration")
