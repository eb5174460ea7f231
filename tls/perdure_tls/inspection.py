"""Says in plain values what is in a PEM file: certificates, a key, a request, revocation lists."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from perdure_tls import building, files, keys
from perdure_tls.errors import TlsError

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_USAGES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "server",
    ExtendedKeyUsageOID.CLIENT_AUTH: "client",
}


def inspect(path: Path) -> list[dict[str, Any]]:
    """Returns what each part of a PEM file is, in the order of the file.

    Raises:
        TlsError: It is missing, or has no part that is known here.
    """
    found = []
    for block in _BLOCK.finditer(files.read(path)):
        describe = _KINDS.get(block[1].decode())
        if describe is not None:
            try:
                found.append(describe(block[0] + b"\n"))
            except ValueError as error:
                raise TlsError(f"{path} is damaged: {error}.") from error
    if not found:
        raise TlsError(f"{path} has no certificate, key, request or revocation list in PEM.")
    return found


def certificate(found: x509.Certificate) -> dict[str, Any]:
    """Returns what a certificate says."""
    constraints = _value(found, x509.BasicConstraints)
    extended = _value(found, x509.ExtendedKeyUsage)
    return {
        "type": "certificate",
        "subject": found.subject.rfc4514_string(),
        "issuer": found.issuer.rfc4514_string(),
        "serial": building.serial_text(found),
        "not_before": found.not_valid_before_utc.isoformat(),
        "not_after": found.not_valid_after_utc.isoformat(),
        "authority": bool(constraints and constraints.ca),
        "usages": [_USAGES.get(oid, oid.dotted_string) for oid in extended or ()],
        **_names(_value(found, x509.SubjectAlternativeName)),
        "key": key_text(found.public_key()),
        "sha256": building.fingerprint(found),
    }


def key_text(key: PublicKeyTypes) -> str:
    """Returns a key's kind and size."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name
    return f"rsa{key.key_size}" if isinstance(key, rsa.RSAPublicKey) else type(key).__name__


def _certificate(data: bytes) -> dict[str, Any]:
    return certificate(x509.load_pem_x509_certificate(data))


def _request(data: bytes) -> dict[str, Any]:
    found = x509.load_pem_x509_csr(data)
    return {
        "type": "request",
        "subject": found.subject.rfc4514_string(),
        "signed_by_its_key": found.is_signature_valid,
        **_names(_value(found, x509.SubjectAlternativeName)),
        "key": key_text(found.public_key()),
    }


def _list(data: bytes) -> dict[str, Any]:
    found = x509.load_pem_x509_crl(data)
    ends = found.next_update_utc
    return {
        "type": "revocation list",
        "issuer": found.issuer.rfc4514_string(),
        "last_update": found.last_update_utc.isoformat(),
        "next_update": ends.isoformat() if ends else "",
        "revoked": [f"{entry.serial_number:x}" for entry in found],
    }


def _key(data: bytes) -> dict[str, Any]:
    if keys.SEALED in data:  # as OpenSSL wrote keys before PKCS #8
        return _encrypted_key(data)
    found = serialization.load_pem_private_key(data, None)
    return {"type": "key", "key": key_text(found.public_key()), "encrypted": False}


def _encrypted_key(data: bytes) -> dict[str, Any]:
    return {"type": "key", "encrypted": True}


_KINDS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "CERTIFICATE": _certificate,
    "CERTIFICATE REQUEST": _request,
    "X509 CRL": _list,
    "PRIVATE KEY": _key,
    "EC PRIVATE KEY": _key,
    "RSA PRIVATE KEY": _key,
    "ENCRYPTED PRIVATE KEY": _encrypted_key,
}


def _names(names: x509.SubjectAlternativeName | None) -> dict[str, list[str]]:
    if names is None:
        return {"dns": [], "ips": [], "uris": []}
    return {
        "dns": names.get_values_for_type(x509.DNSName),
        "ips": [str(address) for address in names.get_values_for_type(x509.IPAddress)],
        "uris": names.get_values_for_type(x509.UniformResourceIdentifier),
    }


def _value(
    found: x509.Certificate | x509.CertificateSigningRequest, kind: type[ExtensionT]
) -> ExtensionT | None:
    try:
        return found.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
