"""Takes over what another authority made, such as step-ca, Vault or cert-manager: PEM files.

Rules that hold here: nothing is taken that a peer would refuse; the roots of other authorities are
those of the bundle that was imported last, and none goes while a certificate in use needs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from perdure_tls import authority, building, findings, keys, verification
from perdure_tls.authority import CRL_LIFETIME
from perdure_tls.building import Issuer
from perdure_tls.errors import TlsError
from perdure_tls.findings import Finding
from perdure_tls.folder import Folder, read_bundle
from perdure_tls.identity import Identity, Role, check_name, check_trust_domain, default_name
from perdure_tls.state import (
    Certificate,
    Generation,
    Intermediate,
    Root,
    State,
    changed,
    next_number,
    with_generation,
    without_old_generations,
)
from perdure_tls.verification import Policy


@dataclass(frozen=True, slots=True)
class PemFiles:
    """A certificate, followed by those of its issuers, and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Holder:
    """What an operator says of a leaf's holder; what is missing is read from its SPIFFE id."""

    role: Role | None = None
    host: str = ""
    namespace: str = ""
    name: str = ""


def begin(folder: Folder, trust_domain: str) -> State:
    """Returns the state of a folder that is not used yet, and signs nothing; it is not stored.

    Raises:
        TlsError: There is an authority, or something else.
    """
    check_trust_domain(trust_domain)
    folder.check_unused()
    return State(trust_domain=trust_domain, roots={}, intermediates={}, trust=(), issuer=0)


def import_roots(folder: Folder, state: State, bundle: Sequence[x509.Certificate]) -> State:
    """Trusts the roots of a bundle, and no other root of other authorities any more.

    Raises:
        TlsError: One is no root that is valid now, or one that is missing is needed.
    """
    known = {entry.fingerprint: number for number, entry in state.roots.items()}
    roots = dict(state.roots)
    wanted = {number for number, entry in state.roots.items() if entry.crl}
    for root in bundle:
        _check_root(folder, root)
        number = known.get(building.fingerprint(root))
        if number is None:
            number = next_number(roots)
            roots[number] = Root(**dict(authority.recorded(root)))
            folder.disk.write(folder.root(number) / "certificate.pem", building.pem(root))
        wanted.add(number)
    kept = {number: entry for number, entry in roots.items() if number in wanted}
    trusted = {building.fingerprint(root) for root in bundle}
    after = changed(
        state,
        roots=kept,
        trust=tuple(
            number
            for number, entry in kept.items()
            if number in state.trust or entry.fingerprint in trusted
        ),
    )
    _check_needed(folder, after)
    return folder.commit(after)


def import_authority(folder: Folder, state: State, files: PemFiles) -> State:
    """Signs by an intermediate of another authority from now on.

    Raises:
        TlsError: It cannot sign what peers accept, or this authority has a root of its own.
    """
    if state.rotation is not None:
        raise TlsError("A rotation is under way: finish it, or roll it back.")
    if state.issuer and state.roots[state.intermediates[state.issuer].root].crl:
        raise TlsError("This authority has a root of its own: perdure tls rotate intermediate.")
    chain = _without_roots(read_bundle(files.certificate))
    policy = Policy(trust=_trusted(folder, state), now=folder.now())
    found = verification.check_authority(files.certificate.name, chain, policy)
    _check(folder, files, chain[0], found)
    number = next_number(state.intermediates)
    private = keys.read(files.key, folder.secrets.passphrase)
    place, issuer = folder.intermediate(number), Issuer(chain[0], private)
    folder.write_key(place, private, folder.secrets.passphrase)
    folder.disk.write(place / "certificate.pem", building.pem(*chain))
    authority.write_first_list(folder, place, issuer, next_update=folder.now() + CRL_LIFETIME)
    root = _root_of(folder, state, chain)
    made = Intermediate(**dict(authority.recorded(chain[0])), root=root, crl=1)
    used = {
        entry.issuer for held in state.certificates.values() for entry in held.generations.values()
    }
    kept = {n: entry for n, entry in state.intermediates.items() if n in used}
    return folder.commit(changed(state, intermediates={**kept, number: made}, issuer=number))


def import_leaf(folder: Folder, state: State, files: PemFiles, holder: Holder) -> tuple[State, str]:
    """Takes a holder's certificate and key, or the next ones; returns the state and its name.

    Raises:
        TlsError: A peer would refuse it, or there is one of that name that is signed here.
    """
    chain = _without_roots(read_bundle(files.certificate))
    identity = _identity(chain[0], holder, state.trust_domain)
    name = check_name(holder.name or default_name(identity))
    known = state.certificates.get(name)
    if known is not None and not known.imported:
        raise TlsError(f"The certificate {name} is signed here: give another --name.")
    policy = Policy(
        trust=_trusted(folder, state),
        now=folder.now(),
        usages=identity.usages,
        denied=verification.read_denied(folder.denied_path),
    )
    found = verification.check(files.certificate.name, chain, policy)
    _check(folder, files, chain[0], found)
    issued = Generation(**dict(authority.recorded(chain[0])), issuer=0)
    if known is not None and known.newest.fingerprint == issued.fingerprint:
        return state, name
    number = next_number(known.generations) if known is not None else 1
    place = folder.generation(name, number)
    folder.write_key(place, keys.read(files.key, folder.secrets.passphrase))
    folder.disk.write(place / "certificate.pem", building.pem(*chain))
    entry = Certificate(
        identity=identity,
        key_type=keys.type_of(chain[0].public_key()),
        imported=True,
        lifetime_seconds=int((issued.not_after - issued.not_before).total_seconds()),
        current=1,
        generations={1: issued},
    )
    if known is None:
        return folder.commit(state.with_certificates({name: entry})), name
    entry = changed(entry, current=known.current, generations=known.generations)
    state = state.with_certificates({name: with_generation(entry, issued)})
    return folder.commit(without_old_generations(state, {name: frozenset({known.current})})), name


def _check_root(folder: Folder, root: x509.Certificate) -> None:
    wrong = findings.problems(verification.check_root("the root", root, folder.now()))
    if wrong:
        raise TlsError(f"The bundle cannot be trusted: {'; '.join(wrong)}.")


def _check_needed(folder: Folder, state: State) -> None:
    """Checks that every certificate in use, and the issuer, lead to a root that is trusted."""
    trust = _trusted(folder, state)
    needed = {name: folder.holder(name) / "current" for name in state.certificates}
    if state.issuer:
        needed["the intermediate"] = folder.intermediate(state.issuer)
    for name, place in needed.items():
        if not verification.leads_to(read_bundle(place / "certificate.pem"), trust):
            raise TlsError(f"The bundle lacks the root of {name}: give the old root too.")


def _check(folder: Folder, files: PemFiles, first: x509.Certificate, found: list[Finding]) -> None:
    keys.checked_public(first.public_key())
    found += verification.check_key(files.key.name, first, files.key, folder.secrets.passphrase)
    wrong = findings.problems(found)
    if wrong:
        raise TlsError(f"{files.certificate} cannot be imported: {'; '.join(wrong)}.")


def _trusted(folder: Folder, state: State) -> list[x509.Certificate]:
    return [folder.certificate(folder.root(number)) for number in state.trust]


def _root_of(folder: Folder, state: State, chain: list[x509.Certificate]) -> int:
    return next(
        number
        for number in state.trust
        if verification.leads_to(chain, [folder.certificate(folder.root(number))])
    )


def _without_roots(bundle: list[x509.Certificate]) -> list[x509.Certificate]:
    """Returns a bundle without roots, which peers have or do not trust; the first stays."""
    return [bundle[0], *(entry for entry in bundle[1:] if not verification.is_root(entry))]


def _identity(leaf: x509.Certificate, holder: Holder, trust_domain: str) -> Identity:
    named = [
        identity
        for text in verification.spiffe_ids(leaf)
        if (identity := Identity.of_spiffe_id(text, trust_domain)) is not None
    ]
    role, host = holder.role, holder.host
    if named:
        role, host = role or named[0].role, host or named[0].host
    if role is None or not host:
        raise TlsError(
            f"The certificate has no SPIFFE id of {trust_domain}: say --role and --host."
        )
    identity = Identity.of(role, host, namespace=holder.namespace or _namespace(named))
    if named and identity.spiffe_id(trust_domain) != named[0].spiffe_id(trust_domain):
        raise TlsError(f"The certificate is that of {named[0].spiffe_id(trust_domain)}.")
    names = verification.alternative_names(leaf)
    dns = names.get_values_for_type(x509.DNSName) if names else []
    addresses = names.get_values_for_type(x509.IPAddress) if names else []
    carried = {"dns": tuple(dns), "ips": tuple(str(address) for address in addresses)}
    return identity.model_copy(update=carried)


def _namespace(named: list[Identity]) -> str:
    return named[0].namespace if named else ""
