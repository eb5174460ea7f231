"""`perdure tls revoke`: takes certificates back."""

from pathlib import Path

import click

from perdure.app import tables
from perdure_tls import folder as folders
from perdure_tls import revocation
from perdure_tls.commands import shared
from perdure_tls.errors import TlsError
from perdure_tls.state import Reason


@click.command("revoke")
@shared.of_folder
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--serial", multiple=True, help="A serial number in hexadecimal; may be repeated.")
@click.option("--spiffe-id", multiple=True, help="Deny a holder by its id; may be repeated.")
@click.option("--allow", multiple=True, help="An id to deny no more; may be repeated.")
@click.option("--reason", type=shared.Member(Reason), default=Reason.UNSPECIFIED)
@shared.with_passphrase
@shared.printed
def command(
    *,
    directory: Path,
    names: tuple[str, ...],
    serial: tuple[str, ...],
    spiffe_id: tuple[str, ...],
    allow: tuple[str, ...],
    reason: Reason,
    passphrase_file: Path | None,
    output: str,
) -> None:
    """Revoke all certificates of holders (NAMEs), or single ones, or deny holders by id.

    Bring published/crl.pem and published/denied.json to every host afterwards.
    """
    with shared.said_in_a_sentence():
        if not (names or serial or spiffe_id or allow):
            raise TlsError("Say what is revoked: NAMEs, --serial or --spiffe-id.")
        folder = shared.opened(directory, passphrase_file=passphrase_file)
        with folders.changing(folder) as found:
            state, before = found, {entry.serial for entry in found.revoked}
            if names:
                state = revocation.revoke_names(folder, state, names, reason)
            if serial:
                state = revocation.revoke_serials(folder, state, serial, reason)
            if spiffe_id:
                state = revocation.deny(folder, state, spiffe_id)
            if allow:
                state = revocation.allow(folder, state, allow)
    revoked = [
        {"serial": entry.serial, "name": entry.name, "reason": entry.reason}
        for entry in state.revoked
        if entry.serial not in before
    ]
    if output == "json":
        tables.print_json({"revoked": revoked, "denied_spiffe_ids": list(state.denied_spiffe_ids)})
        return
    tables.print_table(
        ("serial", "of", "reason"), ((e["serial"], e["name"], e["reason"]) for e in revoked)
    )
    for denied in state.denied_spiffe_ids:
        click.echo(f"denied: {denied}")
