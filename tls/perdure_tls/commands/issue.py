"""`perdure tls issue`: issues certificates."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from perdure.app import tables
from perdure_tls import files, issuing
from perdure_tls import folder as folders
from perdure_tls.commands import shared
from perdure_tls.durations import Lifetime
from perdure_tls.errors import TlsError
from perdure_tls.folder import Folder
from perdure_tls.identity import Identity, Role
from perdure_tls.state import KeyType, State

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("issue")
@shared.of_folder
@click.option("--role", type=shared.Member(Role), required=True)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="The holder's host, a DNS name or an address; repeated, each gets a certificate.",
)
@click.option("--hosts", "hosts_file", type=_FILE, help="A file of hosts, one a line.")
@click.option("--namespace", default="", help="The namespace of a client or application worker.")
@click.option("--dns", multiple=True, help="A further DNS name; may be repeated.")
@click.option("--ip", multiple=True, help="An address; may be repeated.")
@click.option("--name", default="", help="The name of the certificate's folder.")
@click.option("--lifetime", type=Lifetime(), default=issuing.DEFAULT_LIFETIME, help="Default: 90d.")
@click.option("--key-type", type=shared.Member(KeyType), default=KeyType.P256)
@click.option("--csr", type=_FILE, help="A signing request: the key stays where it was made.")
@shared.with_passphrase
@shared.printed
def command(
    *,
    directory: Path,
    role: Role,
    hosts: tuple[str, ...],
    hosts_file: Path | None,
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
    """Issue certificates for a role on hosts."""
    with shared.said_in_a_sentence():
        folder = shared.opened(directory, passphrase_file=passphrase_file)
        hosts = _all_hosts(hosts, hosts_file)
        if len(hosts) > 1 and (name or csr):
            raise TlsError("--name and --csr are of one certificate: give one --host.")
        holders = [
            (name, Identity.of(role, host, namespace=namespace, dns=dns, ips=ip)) for host in hosts
        ]
        request = issuing.read_request(csr) if csr is not None else None
        with folders.changing(folder) as before:
            state, names = issuing.issue(
                folder, before, holders, lifetime=lifetime, key_type=key_type, request=request
            )
    issued = [_plain(folder, state, name) for name in names]
    if output == "json":
        tables.print_json({"issued": issued})
        return
    for fields in issued:
        tables.print_fields(fields)


def _all_hosts(hosts: tuple[str, ...], path: Path | None) -> tuple[str, ...]:
    if path is not None:
        lines = (line.strip() for line in files.read(path).decode(errors="replace").splitlines())
        hosts = (*hosts, *(line for line in lines if line and not line.startswith("#")))
    if not hosts:
        raise TlsError("Say for which host: --host HOST, or --hosts FILE.")
    return tuple(dict.fromkeys(hosts))


def _plain(folder: Folder, state: State, name: str) -> dict[str, Any]:
    certificate, place = state.certificates[name], folder.holder(name) / "current"
    return {
        "name": name,
        "serial": certificate.newest.serial,
        "not_after": certificate.newest.not_after.isoformat(),
        "spiffe_id": certificate.identity.spiffe_id(state.trust_domain),
        "certificate": str(place / "certificate.pem"),
        "key": str(place / "key.pem") if certificate.own_key else None,
        "trust": str(folder.trust_path),
    }
