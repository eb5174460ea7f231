"""`perdure tls issue`: issues a certificate."""

from datetime import timedelta
from pathlib import Path

import click

from perdure.app import tables
from perdure_tls import folder as folders
from perdure_tls import issuing
from perdure_tls.commands import shared
from perdure_tls.durations import Lifetime
from perdure_tls.identity import Identity, Role
from perdure_tls.state import KeyType


@click.command("issue")
@shared.of_folder
@click.option("--role", type=shared.Member(Role), required=True)
@click.option("--host", required=True, help="The holder's host: a DNS name or an address.")
@click.option("--namespace", default="", help="The namespace of a client or application worker.")
@click.option("--dns", multiple=True, help="A further DNS name; may be repeated.")
@click.option("--ip", multiple=True, help="An address; may be repeated.")
@click.option("--name", default="", help="The name of the certificate's folder.")
@click.option("--lifetime", type=Lifetime(), default=issuing.DEFAULT_LIFETIME, help="Default: 90d.")
@click.option("--key-type", type=shared.Member(KeyType), default=KeyType.P256)
@click.option(
    "--csr",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A signing request: the key stays where it was made.",
)
@shared.with_passphrase
@shared.printed
def command(
    *,
    directory: Path,
    role: Role,
    host: str,
    namespace: str,
    dns: tuple[str, ...],
    ip: tuple[str, ...],
    name: str,
    lifetime: timedelta,
    key_type: KeyType,
    csr: Path | None,
    passphrase_file: Path | None,
    output: str,
) -> None:
    """Issue a certificate for a role on a host."""
    with shared.said_in_a_sentence():
        folder = shared.opened(directory, passphrase_file=passphrase_file)
        identity = Identity.of(role, host, namespace=namespace, dns=dns, ips=ip)
        request = issuing.read_request(csr) if csr is not None else None
        with folders.changing(folder) as before:
            state, name = issuing.issue(
                folder,
                before,
                identity,
                name=name,
                lifetime=lifetime,
                key_type=key_type,
                request=request,
            )
    place = folder.holder(name) / "current"
    certificate = state.certificates[name]
    issued = {
        "name": name,
        "serial": certificate.newest.serial,
        "not_after": certificate.newest.not_after.isoformat(),
        "spiffe_id": identity.spiffe_id(state.trust_domain),
        "certificate": str(place / "certificate.pem"),
        "key": str(place / "key.pem") if certificate.own_key else None,
        "trust": str(folder.trust_path),
    }
    if output == "json":
        tables.print_json(issued)
    else:
        tables.print_fields(issued)
