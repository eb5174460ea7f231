from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from perdure.rpc.peer_certificate import PeerCertificate, peer_certificate

SPIFFE_ID = "spiffe://example.com/ns/orders/role/reader/host/desk-1"


class Call:
    def __init__(self, properties: dict[str, list[bytes]]) -> None:
        self._properties = properties

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._properties


def pem(*names: x509.GeneralName, common_name: str = "", serial: int = 0x0A1B) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "example.com")]
    if common_name:
        attributes.append(x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name))
    subject = x509.Name(attributes)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("properties", [{}, {"transport_security_type": [b"ssl"]}])
def test_a_connection_without_a_certificate_has_none(properties: dict[str, list[bytes]]) -> None:
    assert peer_certificate(Call(properties)) is None


def test_a_certificate_is_read_as_it_is() -> None:
    shown = pem(
        x509.DNSName("desk-1.example.com"),
        x509.UniformResourceIdentifier(SPIFFE_ID),
        x509.UniformResourceIdentifier("https://example.com/"),
        common_name="reader desk-1",
    )
    assert peer_certificate(Call({"x509_pem_cert": [shown]})) == PeerCertificate(
        common_name="reader desk-1",
        subject="CN=reader desk-1,O=example.com",
        serial="a1b",
        spiffe_ids=(SPIFFE_ID,),
        dns_names=("desk-1.example.com",),
    )


def test_what_a_certificate_does_not_name_is_empty() -> None:
    assert peer_certificate(Call({"x509_pem_cert": [pem()]})) == PeerCertificate(
        common_name="", subject="O=example.com", serial="a1b", spiffe_ids=(), dns_names=()
    )
