"""Checks a certificate as a peer would, and says which of its parts would be refused.

Each check is of one cause, so that its sentence names the fix. In the end the chain is given to the
X.509 verifier of the library too: what the single checks might pass by mistake, it refuses.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification

from perdure_tls import building, files, keys
from perdure_tls.errors import TlsError
from perdure_tls.findings import Finding
from perdure_tls.folder import read_bundle
from perdure_tls.identity import USAGE_OIDS, Usage

_LONGEST_CHAIN = 8
ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Denied:
    """The contents of a deny list."""

    serials: frozenset[str] = frozenset()
    spiffe_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """What a certificate is measured by.

    `dns_or_ip` is the name that a client calls the server by; "" when no name is asked for.
    """

    trust: Sequence[x509.Certificate]
    now: datetime
    usages: frozenset[Usage] = frozenset()
    dns_or_ip: str = ""
    lists: Sequence[x509.CertificateRevocationList] = ()
    denied: Denied = Denied()


def check_files(subject: str, certificate: Path, key: Path | None, policy: Policy) -> list[Finding]:
    """Checks a certificate's file, and its key's permissions and match when there is one."""
    try:
        bundle = read_bundle(certificate)
    except TlsError as error:
        return [Finding("file", subject, passed=False, said=str(error))]
    findings = check(subject, bundle, policy)
    return findings if key is None else [*findings, *check_key(subject, bundle[0], key)]


def check(subject: str, bundle: Sequence[x509.Certificate], policy: Policy) -> list[Finding]:
    """Checks a certificate, which is followed by those of its issuers."""
    leaf = bundle[0]
    chain, broken = _chain(bundle, policy.trust)
    results = [
        ("dates", _dates_problem(chain, policy.now), _until(chain)),
        ("chain", broken or _authorities_problem(chain[1:]), f"leads to {_name(chain[-1])}"),
        ("usage", _usage_problem(leaf, policy.usages), "may be used so"),
        ("name", _name_problem(leaf, policy.dns_or_ip), "carries the name"),
        ("revocation", _revocation_problem(chain, policy), "is not revoked"),
    ]
    if not any(problem for _, problem, _ in results):
        results.append(("verifier", _verifier_problem(bundle, policy), "is accepted"))
    return _findings(subject, results)


def check_authority(
    subject: str, bundle: Sequence[x509.Certificate], policy: Policy
) -> list[Finding]:
    """Checks the certificate of an authority that is to sign holders' and revocation lists."""
    chain, broken = _chain(bundle, policy.trust)
    usage = _extension(bundle[0], x509.KeyUsage)
    lists = None if usage is not None and usage.crl_sign else "may not sign revocation lists"
    return _findings(
        subject,
        [
            ("dates", _dates_problem(chain, policy.now), _until(chain)),
            ("chain", broken or _authorities_problem(chain), f"leads to {_name(chain[-1])}"),
            ("lists", lists, "may sign revocation lists"),
            ("revocation", _revocation_problem(chain, policy), "is not revoked"),
        ],
    )


def check_root(subject: str, root: x509.Certificate, now: datetime) -> list[Finding]:
    """Checks a certificate that is to be trusted."""
    own = None if is_root(root) else f"{_name(root)} is not signed by itself"
    return _findings(
        subject,
        [
            ("dates", _dates_problem([root], now), _until([root])),
            ("chain", own or _authorities_problem([root]), "is a root"),
        ],
    )


def is_root(certificate: x509.Certificate) -> bool:
    """Tells whether a certificate is signed by its own key."""
    return _signed(certificate, certificate)


def leads_to(bundle: Sequence[x509.Certificate], trust: Sequence[x509.Certificate]) -> bool:
    """Tells whether a certificate, followed by those of its issuers, leads to a root."""
    return _chain(bundle, trust)[1] is None


def check_key(
    subject: str, certificate: x509.Certificate, key: Path, passphrase: bytes | None = None
) -> list[Finding]:
    """Checks who can read a key, and that it is the certificate's."""
    try:
        weak = files.permission_problem(key)
    except OSError as error:
        return [Finding("key", subject, passed=False, said=f"{key}: {error.strerror}")]
    findings = [Finding("permissions", subject, weak is None, weak or "only its owner reads it")]
    if weak is None:
        try:
            private = keys.read(key, passphrase)
            matches = keys.same(certificate.public_key(), private.public_key())
            said = "is the certificate's" if matches else f"{key} is the key of another certificate"
        except TlsError as error:
            matches, said = False, str(error)
        findings.append(Finding("key", subject, matches, said))
    return findings


def read_lists(path: Path) -> list[x509.CertificateRevocationList]:
    """Reads the revocation lists of a PEM file.

    Raises:
        TlsError: It is missing or damaged.
    """
    end = b"-----END X509 CRL-----"
    parts = files.read(path).split(end)[:-1]
    try:
        return [x509.load_pem_x509_crl(part + end) for part in parts]
    except ValueError as error:
        raise TlsError(f"{path} holds a damaged revocation list.") from error


def read_denied(path: Path) -> Denied:
    """Reads a deny list.

    Raises:
        TlsError: It is missing or damaged.
    """
    try:
        lists = json.loads(files.read(path))
        return Denied(frozenset(lists["serials"]), frozenset(lists["spiffeIds"]))
    except (ValueError, KeyError, TypeError) as error:
        raise TlsError(f"{path} is no deny list: it has serials and spiffeIds.") from error


def spiffe_ids(certificate: x509.Certificate) -> list[str]:
    """Returns the URIs that a certificate carries."""
    names = alternative_names(certificate)
    return names.get_values_for_type(x509.UniformResourceIdentifier) if names else []


def alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    """Returns the names that a certificate carries."""
    return _extension(certificate, x509.SubjectAlternativeName)


def _findings(subject: str, results: Iterable[tuple[str, str | None, str]]) -> list[Finding]:
    return [
        Finding(name, subject, passed=problem is None, said=problem or said)
        for name, problem, said in results
    ]


def _chain(
    bundle: Sequence[x509.Certificate], trust: Sequence[x509.Certificate]
) -> tuple[list[x509.Certificate], str | None]:
    """Returns the certificates from a leaf upwards, and what is wrong when no root is reached."""
    chain = [bundle[0]]
    while chain[-1] not in trust:
        # The trusted first: a bundle may carry an untrusted root of the same name.
        signed = [c for c in (*trust, *bundle[1:]) if c not in chain and _signed(chain[-1], c)]
        if not signed:
            return chain, f"no trusted authority signed {_name(chain[-1])}"
        chain.append(signed[0])
        if len(chain) > _LONGEST_CHAIN:
            return chain, "the chain does not end"
    return chain, None


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _dates_problem(chain: Sequence[x509.Certificate], now: datetime) -> str | None:
    for certificate in chain:
        if certificate.not_valid_before_utc > now:
            begins = certificate.not_valid_before_utc
            return f"{_name(certificate)} is not valid before {begins:%Y-%m-%d %H:%M} UTC"
        if certificate.not_valid_after_utc < now:
            ended = certificate.not_valid_after_utc
            return f"{_name(certificate)} expired at {ended:%Y-%m-%d %H:%M} UTC"
    return None


def _until(chain: Sequence[x509.Certificate]) -> str:
    return f"valid until {min(c.not_valid_after_utc for c in chain):%Y-%m-%d %H:%M} UTC"


def _authorities_problem(authorities: Sequence[x509.Certificate]) -> str | None:
    for depth, certificate in enumerate(authorities):
        constraints = _extension(certificate, x509.BasicConstraints)
        if constraints is None or not constraints.ca:
            return f"{_name(certificate)} is no authority"
        if constraints.path_length is not None and depth > constraints.path_length:
            return f"{_name(certificate)} allows no authorities below it"
        usage = _extension(certificate, x509.KeyUsage)
        if usage is None or not usage.key_cert_sign:
            return f"{_name(certificate)} may not sign certificates"
    return None


def _usage_problem(leaf: x509.Certificate, wanted: frozenset[Usage]) -> str | None:
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    for usage in sorted(wanted):
        if extended is None or USAGE_OIDS[usage] not in extended:
            return f"may not be used as a {usage}: issue it for a role that may"
    return None


def _name_problem(leaf: x509.Certificate, wanted: str) -> str | None:
    names = alternative_names(leaf)
    if names is None:
        return "carries no names"
    if not wanted:
        return None
    dns = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    _, _, parent = wanted.partition(".")
    if wanted.lower() in dns or wanted in addresses or (parent and f"*.{parent.lower()}" in dns):
        return None
    carried = ", ".join([*dns, *addresses]) or "none"
    return f"does not carry the name {wanted} (it has: {carried})"


def _revocation_problem(chain: Sequence[x509.Certificate], policy: Policy) -> str | None:
    if building.serial_text(chain[0]) in policy.denied.serials:
        return "its serial number is on the deny list"
    for spiffe_id in spiffe_ids(chain[0]):
        if spiffe_id in policy.denied.spiffe_ids:
            return f"{spiffe_id} is on the deny list"
    for certificate, issuer in pairwise(chain):
        for crl in policy.lists:
            if crl.issuer != issuer.subject or not _list_signed(crl, issuer):
                continue
            if crl.next_update_utc is not None and crl.next_update_utc < policy.now:
                return f"the revocation list of {_name(issuer)} is out of date: renew it"
            if crl.get_revoked_certificate_by_serial_number(certificate.serial_number):
                return f"{_name(certificate)} was revoked by {_name(issuer)}"
    return None


def _list_signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) and (
        crl.is_signature_valid(key)
    )


def _verifier_problem(bundle: Sequence[x509.Certificate], policy: Policy) -> str | None:
    builder = verification.PolicyBuilder().time(policy.now)
    builder = builder.store(verification.Store(list(policy.trust)))
    leaf, others = bundle[0], list(bundle[1:])
    try:
        for usage in policy.usages:
            if usage == Usage.CLIENT:
                builder.build_client_verifier().verify(leaf, others)
                continue
            for name in _verifiable_names(leaf)[:1]:
                builder.build_server_verifier(name).verify(leaf, others)
    except verification.VerificationError as error:
        return f"the X.509 verifier refuses it: {error}"
    return None


def _verifiable_names(leaf: x509.Certificate) -> list[verification.Subject]:
    return [
        name
        for name in alternative_names(leaf) or ()
        if isinstance(name, x509.IPAddress)
        or (isinstance(name, x509.DNSName) and not name.value.startswith("*"))
    ]


def _extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
