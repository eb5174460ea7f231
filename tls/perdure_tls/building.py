"""Makes certificates and revocation lists out of plain values and keys; reads and writes nothing.

A root signs intermediates only (path length 1), an intermediate signs holders only (path length 0).
Every certificate begins a little before it is made, since clocks of hosts differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from perdure_tls.identity import USAGE_OIDS, Identity, Usage
from perdure_tls.keys import PrivateKey, PublicKey
from perdure_tls.state import Reason, Revocation

CLOCK_SKEW = timedelta(minutes=5)
"""How far behind a host's clock may be and still accept a new certificate."""
_PATH_LENGTH_OF_ROOT = 1
_PATH_LENGTH_OF_INTERMEDIATE = 0


@dataclass(frozen=True, slots=True)
class Issuer:
    """A certificate that signs, with its key."""

    certificate: x509.Certificate
    key: PrivateKey


def root(
    key: PrivateKey, *, trust_domain: str, number: int, now: datetime, lifetime: timedelta
) -> x509.Certificate:
    """Makes a root's certificate, which it signs itself."""
    name = _authority_name(trust_domain, f"Perdure root {number}")
    public = key.public_key()
    builder = _builder(name, name, public, now, lifetime)
    builder = _as_authority(builder, _PATH_LENGTH_OF_ROOT)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )
    return builder.sign(key, hashes.SHA256())


def intermediate(
    public: PublicKey,
    issuer: Issuer,
    *,
    trust_domain: str,
    number: int,
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """Makes the certificate of an intermediate, signed by a root."""
    name = _authority_name(trust_domain, f"Perdure intermediate {number}")
    builder = _builder(name, issuer.certificate.subject, public, now, lifetime)
    return _signed(_as_authority(builder, _PATH_LENGTH_OF_INTERMEDIATE), issuer)


def leaf(
    public: PublicKey,
    issuer: Issuer,
    *,
    identity: Identity,
    trust_domain: str,
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """Makes a holder's certificate, signed by an intermediate."""
    # A common name has 64 characters at most, and only people read it: names are in the SAN.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{identity.role} {identity.host}"[:64]),
        ]
    )
    usages = [USAGE_OIDS[usage] for usage in Usage if usage in identity.usages]
    builder = (
        _builder(name, issuer.certificate.subject, public, now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(identity.alternative_names(trust_domain), critical=False)
    )
    return _signed(builder, issuer)


def revocation_list(
    issuer: Issuer,
    revoked: Iterable[Revocation],
    *,
    number: int,
    now: datetime,
    next_update: datetime,
) -> x509.CertificateRevocationList:
    """Makes the list of what an issuer has revoked."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - CLOCK_SKEW)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_identifier(issuer), critical=False)
    )
    for entry in revoked:
        one = x509.RevokedCertificateBuilder(int(entry.serial, 16), entry.at)
        if entry.reason != Reason.UNSPECIFIED:  # RFC 5280, 5.3.1: absent rather than unspecified
            flag = x509.ReasonFlags(entry.reason.value)
            one = one.add_extension(x509.CRLReason(flag), critical=False)
        builder = builder.add_revoked_certificate(one.build())
    return builder.sign(issuer.key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    """Returns certificates as a bundle."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def serial_text(certificate: x509.Certificate) -> str:
    """Returns a serial number as the state has it."""
    return f"{certificate.serial_number:x}"


def fingerprint(certificate: x509.Certificate) -> str:
    """Returns a certificate's SHA-256 in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: PublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True
    ).add_extension(_key_usage(signs_certificates=True), critical=True)


def _signed(builder: x509.CertificateBuilder, issuer: Issuer) -> x509.Certificate:
    return builder.add_extension(_authority_identifier(issuer), critical=False).sign(
        issuer.key, hashes.SHA256()
    )


def _authority_identifier(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def _authority_name(trust_domain: str, name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
