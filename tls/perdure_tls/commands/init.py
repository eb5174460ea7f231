"""`perdure tls init`: makes an authority."""

from datetime import timedelta
from pathlib import Path

import click

from perdure.app import tables
from perdure_tls import authority
from perdure_tls.authority import INTERMEDIATE_LIFETIME, ROOT_LIFETIME, Lifetimes
from perdure_tls.commands import shared
from perdure_tls.durations import Lifetime
from perdure_tls.state import KeyType


@click.command("init")
@shared.of_folder
@click.option("--trust-domain", required=True, help="As in spiffe://TRUST-DOMAIN/…")
@click.option("--root-lifetime", type=Lifetime(), default=ROOT_LIFETIME, help="Default: 3650d.")
@click.option(
    "--intermediate-lifetime",
    type=Lifetime(),
    default=INTERMEDIATE_LIFETIME,
    help="Default: 730d.",
)
@click.option("--key-type", type=shared.Member(KeyType), default=KeyType.P256)
@shared.with_passphrase
@shared.with_root_passphrase
@shared.printed
def command(
    *,
    directory: Path,
    trust_domain: str,
    root_lifetime: timedelta,
    intermediate_lifetime: timedelta,
    key_type: KeyType,
    passphrase_file: Path | None,
    root_passphrase_file: Path | None,
    output: str,
) -> None:
    """Make a root and an intermediate."""
    with shared.said_in_a_sentence():
        folder = shared.opened(
            directory, passphrase_file=passphrase_file, root_passphrase_file=root_passphrase_file
        )
        state = authority.init(
            folder,
            trust_domain=trust_domain,
            lifetimes=Lifetimes(root_lifetime, intermediate_lifetime),
            key_type=key_type,
        )
    made = {
        "directory": str(directory),
        "trust_domain": state.trust_domain,
        "root_not_after": state.roots[1].not_after.isoformat(),
        "intermediate_not_after": state.intermediates[1].not_after.isoformat(),
        "root_key": str(folder.root(1) / "key.pem"),
        "trust": str(folder.trust_path),
    }
    if output == "json":
        tables.print_json(made)
        return
    tables.print_fields(made)
    click.echo("Move the root's key to where no network reaches: it is needed for rotations only.")
