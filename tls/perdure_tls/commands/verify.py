"""`perdure tls verify`: checks certificates and listeners as peers would."""

import dataclasses
from pathlib import Path

import click

from perdure.app import tables
from perdure_tls import auditing, handshakes, probing, verification
from perdure_tls.commands import shared
from perdure_tls.errors import TlsError
from perdure_tls.findings import Finding
from perdure_tls.folder import read_bundle
from perdure_tls.handshakes import ClientFiles, Peer
from perdure_tls.identity import Usage
from perdure_tls.verification import Denied, Policy

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("verify")
@shared.of_folder
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--connect", multiple=True, help="HOST:PORT or HOST:PORT=NAME of a listener.")
@click.option("--allow-anonymous", is_flag=True, help="Clients need no certificate there.")
@click.option("--certificate", type=_FILE, help="A certificate's file, instead of the folder.")
@click.option("--key", type=_FILE, help="Its key.")
@click.option("--trust", type=_FILE, help="The roots that it is measured by.")
@click.option("--crl", type=_FILE, help="Revocation lists.")
@click.option("--denied", type=_FILE, help="A deny list.")
@click.option("--usage", type=shared.Member(Usage), multiple=True)
@click.option("--server-name", default="", help="A name that the certificate should carry.")
@shared.with_passphrase
@shared.printed
def command(
    *,
    directory: Path,
    names: tuple[str, ...],
    connect: tuple[str, ...],
    allow_anonymous: bool,
    certificate: Path | None,
    key: Path | None,
    trust: Path | None,
    crl: Path | None,
    denied: Path | None,
    usage: tuple[Usage, ...],
    server_name: str,
    passphrase_file: Path | None,
    output: str,
) -> None:
    """Check certificates: all of the folder, NAMEs, or files; and listeners.

    Ends with code 1 when a check failed.
    """
    with shared.said_in_a_sentence():
        peers = tuple(handshakes.parse_peer(text) for text in connect)
        if certificate is not None:
            if trust is None:
                raise TlsError("Say what the certificate is measured by: --trust FILE.")
            policy = Policy(
                trust=read_bundle(trust),
                now=shared.now(),
                usages=frozenset(usage),
                dns_or_ip=server_name,
                lists=verification.read_lists(crl) if crl else (),
                denied=verification.read_denied(denied) if denied else Denied(),
            )
            findings = verification.check_files(certificate.name, certificate, key, policy)
            findings += _by_files(peers, trust, certificate, key, anonymous=not allow_anonymous)
        else:
            findings = _of_folder(
                directory, names, peers, passphrase_file, anonymous=not allow_anonymous
            )
    _print(findings, output)
    if not all(finding.passed for finding in findings):
        raise click.exceptions.Exit(1)


def _of_folder(
    directory: Path,
    names: tuple[str, ...],
    peers: tuple[Peer, ...],
    passphrase_file: Path | None,
    *,
    anonymous: bool,
) -> list[Finding]:
    folder = shared.opened(directory, passphrase_file=passphrase_file)
    state = folder.state()
    findings = auditing.audit(folder, state, names)
    if peers:
        findings += probing.check_peers(
            folder, state, peers, issuer=state.issuer, anonymous=anonymous
        )
    return findings


def _by_files(
    peers: tuple[Peer, ...], trust: Path, certificate: Path, key: Path | None, *, anonymous: bool
) -> list[Finding]:
    if peers and key is None:
        raise TlsError("A listener is spoken to with a certificate and its key: --key FILE.")
    findings: list[Finding] = []
    for peer in peers:
        assert key is not None
        client = ClientFiles(certificate, key)
        findings += handshakes.check_peer(peer, trust, client, anonymous=anonymous)
    return findings


def _print(findings: list[Finding], output: str) -> None:
    if output == "json":
        tables.print_json([dataclasses.asdict(finding) for finding in findings])
        return
    tables.print_table(
        ("check", "of", "", "result"),
        (
            (finding.check, finding.subject, "ok" if finding.passed else "FAILED", finding.said)
            for finding in findings
        ),
    )
