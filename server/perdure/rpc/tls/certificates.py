"""Reads certificates and keys in PEM, and checks what a peer would refuse.

Rules that hold here: a text is read as a whole or refused, so that half a file is no shorter
chain; every reason says the fix.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from perdure.rpc.tls.files import BrokenFileError

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
_BEGIN = re.compile(rb"-----BEGIN ")
_END = re.compile(rb"-----END [A-Z0-9 ]+-----")
_DAMAGES = (
    ValueError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_PURPOSES = {SERVER_AUTH: "servers", CLIENT_AUTH: "clients"}


def read_certificates(data: bytes, source: str) -> list[x509.Certificate]:
    """Returns the certificates of a text, in order; at least one.

    Raises:
        BrokenFileError: There are none, or one is damaged.
    """
    begun, ended = len(_BEGIN.findall(data)), len(_END.findall(data))
    if begun != ended:
        raise BrokenFileError(
            source, "is cut off within a certificate: write it whole beside its place, then rename"
        )
    try:
        found = x509.load_pem_x509_certificates(data)
        for certificate in found:
            # Extensions are read when they are asked for first: nobody else is to stumble there.
            _ = certificate.extensions
    except _DAMAGES:
        found = []
    if not found or len(found) != begun:
        raise BrokenFileError(source, "holds no certificates in PEM, or a damaged one: replace it")
    return found


def check_key(data: bytes, source: str, leaf: x509.Certificate, leaf_source: str) -> None:
    """Checks that a key is whole and belongs to a certificate.

    Raises:
        BrokenFileError: It does not.
    """
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise BrokenFileError(
            source, "is encrypted, and nobody can type its passphrase: decrypt it"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BrokenFileError(source, "holds no private key in PEM: replace it") from None
    if _public_bytes(key.public_key()) != _public_bytes(leaf.public_key()):
        raise BrokenFileError(
            source, f"is not the key of the certificate {leaf_source}: put both of one issue there"
        )


def check_chain(chain: Sequence[x509.Certificate], source: str) -> None:
    """Checks that each certificate is issued by the one behind it.

    Raises:
        BrokenFileError: One is not.
    """
    for issued, issuer in pairwise(chain):
        if not is_issued_by(issued, issuer):
            raise BrokenFileError(
                source,
                f'holds "{name_of(issued)}" before "{name_of(issuer)}", which has not issued it:'
                " order them from the leaf upwards",
            )


def check_leaf(
    leaf: x509.Certificate,
    source: str,
    *,
    now: datetime,
    usages: Sequence[x509.ObjectIdentifier],
) -> None:
    """Checks that a leaf is valid now, and for what it is shown for.

    Raises:
        BrokenFileError: It is not.
    """
    if leaf.not_valid_after_utc <= now:
        raise BrokenFileError(
            source, f"expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: issue a new one"
        )
    if leaf.not_valid_before_utc > now:
        raise BrokenFileError(
            source,
            f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: correct this"
            " host's clock, or wait",
        )
    try:
        allowed = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    for usage in usages:
        if usage not in allowed and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in allowed:
            raise BrokenFileError(
                source,
                f"is not a certificate for {_PURPOSES[usage]} (extended key usage): issue one that"
                " is",
            )


def check_trusted(
    chain: Sequence[x509.Certificate], source: str, roots: Sequence[x509.Certificate]
) -> None:
    """Checks that a chain leads to one of some authorities.

    Raises:
        BrokenFileError: It does not.
    """
    last = chain[-1]
    if not any(last == root or is_issued_by(last, root) for root in roots):
        raise BrokenFileError(
            source,
            f'leads to "{last.issuer.rfc4514_string()}", which is none of the authorities that'
            " nodes trust: add that to rootCaFiles, or the intermediate to this file",
        )


def is_issued_by(issued: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tells whether a certificate has another's signature."""
    try:
        issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def answers_to(leaf: x509.Certificate, host: str) -> bool:
    """Tells whether a certificate has a DNS name, exactly or by a wildcard."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    wanted = host.lower()
    parent = "*." + wanted.partition(".")[2]
    return any(name.lower() in {wanted, parent} for name in names.get_values_for_type(x509.DNSName))


def name_of(certificate: x509.Certificate) -> str:
    """Returns the subject for people and metrics."""
    return certificate.subject.rfc4514_string()


def is_authority(certificate: x509.Certificate) -> bool:
    """Tells whether a certificate may issue others."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def from_nanoseconds(now: int) -> datetime:
    """Returns a time since the Unix epoch as certificates have it."""
    return datetime.fromtimestamp(now // 1_000_000_000, UTC)


def _public_bytes(key: object) -> bytes:
    encode = getattr(key, "public_bytes")  # noqa: B009 keys of every kind have it, typed apart
    encoded: bytes = encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded
