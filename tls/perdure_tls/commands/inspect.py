"""`perdure tls inspect`: says what is in a PEM file."""

from pathlib import Path

import click

from perdure.app import tables
from perdure_tls import inspection
from perdure_tls.commands import shared


@click.command("inspect")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@shared.printed
def command(path: Path, output: str) -> None:
    """Show the certificates, key, request or revocation lists in FILE."""
    with shared.said_in_a_sentence():
        found = inspection.inspect(path)
    if output == "json":
        tables.print_json(found)
        return
    for part in found:
        tables.print_fields(part)
