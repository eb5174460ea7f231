"""What a server prints once it serves: where everything is."""

from collections.abc import Mapping, Sequence

import click

from perdure.config.version import VERSION


def announce(places: Mapping[str, str], *, notes: Sequence[str] = ()) -> None:
    """Prints the version, a line per place, and remarks."""
    width = max(map(len, places)) + 1
    click.echo(f"Perdure {VERSION}\n")
    for name, place in places.items():
        click.echo(f"{name + ':':<{width}} {place}")
    for note in notes:
        click.echo(note)
