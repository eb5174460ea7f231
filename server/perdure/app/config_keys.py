"""`perdure config keys`: what a configuration file may hold."""

import json

import click

from perdure.config.keys import file_keys


@click.command("keys")
def keys() -> None:
    """List every key of a configuration file: name, values, default, what it is."""
    for key in file_keys():
        default = "No default" if key.default is None else f"Default: {json.dumps(key.default)}"
        click.echo(f"{key.name}: {key.values}\n    {key.text} {default}.")
