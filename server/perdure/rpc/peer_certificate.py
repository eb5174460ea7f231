"""The certificate that a caller's connection has shown: who it says that the caller is.

Rules that hold here: the transport has verified it already (chain, validity, usage), so that this
only reads; what a connection shows is read once for all of its calls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

_PEM_KEY: Final = "x509_pem_cert"
_REMEMBERED: Final = 4096
_SPIFFE: Final = "spiffe://"


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a verified leaf says.

    Attributes:
        common_name: The subject's CN, the last one of several; empty when there is none.
        subject: The whole subject, as RFC 4514 writes it: `CN=reader desk-1,O=example.com`.
        serial: The serial number in lower-case hexadecimal, without leading zeros.
        spiffe_ids: Its URI names of the scheme `spiffe`.
        dns_names: Its DNS names.
    """

    common_name: str
    subject: str
    serial: str
    spiffe_ids: tuple[str, ...]
    dns_names: tuple[str, ...]


class Authenticated(Protocol):
    """A call that knows how its connection was authenticated, such as a grpc.aio one."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Returns the connection's properties; nothing for one in plain text."""
        ...


def peer_certificate(context: Authenticated) -> PeerCertificate | None:
    """Returns the certificate of a call's connection.

    None for a plain connection, and for one whose client did not have to show any.
    """
    shown = next(iter(context.auth_context().get(_PEM_KEY, ())), None)
    return None if shown is None else parse(bytes(shown))


@lru_cache(maxsize=_REMEMBERED)
def parse(pem: bytes) -> PeerCertificate:
    """Reads a certificate in PEM; of several, the first."""
    # Not before there is one: a server without TLS has no use for 15 MB of OpenSSL.
    from cryptography import x509  # noqa: PLC0415

    certificate = x509.load_pem_x509_certificate(pem)
    common_names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return PeerCertificate(
        common_name=str(common_names[-1].value) if common_names else "",
        subject=certificate.subject.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        spiffe_ids=tuple(uri for uri in uris if uri.startswith(_SPIFFE)),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
    )
