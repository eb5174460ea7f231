"""Checks all that an authority's folder holds against its state."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from perdure_tls import files, verification
from perdure_tls.errors import TlsError
from perdure_tls.findings import Finding
from perdure_tls.folder import Folder, read_bundle
from perdure_tls.state import Certificate, State
from perdure_tls.verification import Policy


def audit(folder: Folder, state: State, names: Iterable[str] = ()) -> list[Finding]:
    """Checks holders' certificates, all when no names are given, and what they depend on.

    Raises:
        TlsError: A name is unknown, or the published files cannot be read.
    """
    chosen = {}
    for name in tuple(names) or tuple(state.certificates):
        if name not in state.certificates:
            raise TlsError(f"There is no certificate {name}.")
        chosen[name] = state.certificates[name]
    findings = _published(folder, state)
    findings += _authorities(folder, state)
    policy = Policy(
        trust=read_bundle(folder.trust_path),
        now=folder.now(),
        lists=verification.read_lists(folder.lists_path),
        denied=verification.read_denied(folder.denied_path),
    )
    for name, certificate in chosen.items():
        findings += _holder(folder, state, name, certificate, policy)
    return findings


def _published(folder: Folder, state: State) -> list[Finding]:
    findings = []
    for path, wanted in folder.published(state).items():
        right = files.read(path) == wanted if path.exists() else False
        said = "follows the state" if right else f"{path} differs from the state: run renew"
        findings.append(Finding("published", path.name, right, said))
    return findings


def _authorities(folder: Folder, state: State) -> list[Finding]:
    places = {f"root {number}": folder.root(number) for number in state.roots}
    places |= {f"intermediate {n}": folder.intermediate(n) for n in state.intermediates}
    return [
        _permissions(subject, place / "key.pem")
        for subject, place in places.items()
        if (place / "key.pem").exists()
    ]


def _permissions(subject: str, path: Path) -> Finding:
    weak = files.permission_problem(path)
    return Finding("permissions", subject, weak is None, weak or "only its owner reads the key")


def _holder(
    folder: Folder, state: State, name: str, certificate: Certificate, policy: Policy
) -> list[Finding]:
    place = folder.holder(name) / "current"
    identity = certificate.identity
    measured = dataclasses.replace(policy, usages=identity.usages)
    key = place / "key.pem" if certificate.own_key else None
    findings = verification.check_files(name, place / "certificate.pem", key, measured)
    if certificate.imported:
        return findings  # what the state has of its names was read from it
    try:
        carried = verification.alternative_names(folder.certificate(place))
    except TlsError:
        return findings  # which say so already
    right = carried is not None and set(carried) == set(
        identity.alternative_names(state.trust_domain)
    )
    said = "carries its names" if right else "does not carry the names that the state has"
    return [*findings, Finding("identity", name, right, said)]
