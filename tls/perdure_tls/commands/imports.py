"""`perdure tls import`: takes over certificates of another authority (step-ca, Vault, …)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from perdure.app import tables
from perdure_tls import files, importing
from perdure_tls import folder as folders
from perdure_tls.commands import shared
from perdure_tls.errors import TlsError
from perdure_tls.folder import Folder, read_bundle
from perdure_tls.identity import Role
from perdure_tls.importing import Holder, PemFiles
from perdure_tls.state import State

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("import")
def command() -> None:
    """Take over what another authority made: its roots first, then certificates with their keys."""


def _of_files(command: shared.Command) -> shared.Command:
    return shared.with_options(
        command,
        shared.of_folder,
        click.option(
            "--certificate",
            type=_FILE,
            required=True,
            help="The certificate, followed by those of its issuers.",
        ),
        click.option("--key", type=_FILE, required=True, help="Its key."),
        shared.with_passphrase,
        shared.printed,
    )


@command.command("roots")
@shared.of_folder
@click.argument("bundle", metavar="FILE", type=_FILE)
@click.option("--trust-domain", default="", help="Makes the folder: as in spiffe://TRUST-DOMAIN/…")
@shared.printed
def roots(directory: Path, bundle: Path, trust_domain: str, output: str) -> None:
    """Trust the roots in FILE, and no others that were imported before.

    With --trust-domain in a folder of its own, which is made.
    """
    with shared.said_in_a_sentence():
        folder = shared.opened(directory)
        imported = read_bundle(bundle)
        with _begun(folder, trust_domain) as before:
            state = importing.import_roots(folder, before, imported)
    trusted = {str(number): state.roots[number].fingerprint for number in state.trust}
    if output == "json":
        tables.print_json({"trust": str(folder.trust_path), "roots": trusted})
        return
    tables.print_table(("root", "SHA-256"), trusted.items())


@command.command("authority")
@_of_files
def authority(
    *, directory: Path, certificate: Path, key: Path, passphrase_file: Path | None, output: str
) -> None:
    """Sign by an intermediate that another authority made, from now on.

    Its key is kept here, encrypted when there is a passphrase. Run it again with the next one, and
    rotate the leaves.
    """
    with shared.said_in_a_sentence():
        folder = shared.opened(directory, passphrase_file=passphrase_file)
        with folders.changing(folder) as before:
            state = importing.import_authority(folder, before, PemFiles(certificate, key))
    made = state.intermediates[state.issuer]
    fields = {
        "intermediate": state.issuer,
        "root": made.root,
        "serial": made.serial,
        "not_after": made.not_after.isoformat(),
    }
    _print(fields, output)


@command.command("leaf")
@_of_files
@click.option("--role", type=shared.Member(Role), help="Of a certificate without a SPIFFE id.")
@click.option("--host", default="", help="Of a certificate without a SPIFFE id.")
@click.option("--namespace", default="", help="Of a certificate without a SPIFFE id.")
@click.option("--name", default="", help="The name of the certificate's folder.")
def leaf(
    *,
    directory: Path,
    certificate: Path,
    key: Path,
    role: Role | None,
    host: str,
    namespace: str,
    name: str,
    passphrase_file: Path | None,
    output: str,
) -> None:
    """Take a holder's certificate and its key, or the next ones of the same name."""
    with shared.said_in_a_sentence():
        folder = shared.opened(directory, passphrase_file=passphrase_file)
        with folders.changing(folder) as before:
            state, name = importing.import_leaf(
                folder,
                before,
                PemFiles(certificate, key),
                Holder(role=role, host=host, namespace=namespace, name=name),
            )
    held, place = state.certificates[name], folder.holder(name) / "current"
    fields = {
        "name": name,
        "serial": held.newest.serial,
        "not_after": held.newest.not_after.isoformat(),
        "certificate": str(place / "certificate.pem"),
        "key": str(place / "key.pem"),
        "trust": str(folder.trust_path),
    }
    _print(fields, output)


@contextmanager
def _begun(folder: Folder, trust_domain: str) -> Iterator[State]:
    """Gives the state of a folder, or of one that is made for a trust domain."""
    if folder.state_path.exists():
        if trust_domain:
            raise TlsError(f"{folder.path} is there already: leave --trust-domain out.")
        with folders.changing(folder) as state:
            yield state
        return
    if not trust_domain:
        raise TlsError(f"{folder.path} holds no authority: make it with --trust-domain.")
    folder.disk.make_folder(folder.path)
    with files.locked(folder.path):
        yield importing.begin(folder, trust_domain)


def _print(fields: Mapping[str, object], output: str) -> None:
    if output == "json":
        tables.print_json(fields)
    else:
        tables.print_fields(fields)
