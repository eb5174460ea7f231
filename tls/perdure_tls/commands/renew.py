"""`perdure tls renew`: renews what is due; for a timer."""

from pathlib import Path

import click

from perdure.app import tables
from perdure_tls import folder as folders
from perdure_tls import renewal
from perdure_tls.commands import shared


@click.command("renew")
@shared.of_folder
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--force", is_flag=True, help="Renew what is not due too.")
@shared.with_passphrase
@shared.printed
def command(
    *,
    directory: Path,
    names: tuple[str, ...],
    force: bool,
    passphrase_file: Path | None,
    output: str,
) -> None:
    """Renew the certificates of which less than a third of the period is left.

    Revocation lists are renewed too. Nothing happens, and the code is 0, when nothing is due. Ends
    with code 1 when a certificate could not be renewed; the others are.
    """
    with shared.said_in_a_sentence():
        folder = shared.opened(directory, passphrase_file=passphrase_file)
        with folders.changing(folder) as found:
            state, renewed = renewal.renew(folder, found, names, force=force)
    if output == "json":
        tables.print_json({"renewed": list(renewed.names), "failed": renewed.failed})
    else:
        for name in renewed.names:
            click.echo(f"renewed {name}, valid until {state.certificates[name].newest.not_after}")
        for name, why in renewed.failed.items():
            click.echo(f"{name}: {why}", err=True)
    if renewed.failed:
        raise click.exceptions.Exit(1)
