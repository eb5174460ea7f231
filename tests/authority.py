"""Certificates for tests: an authority that issues good ones, and bad ones where asked to."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A leaf: its chain and its key in PEM."""

    certificate: x509.Certificate
    chain: bytes
    key: bytes = field(repr=False)

    @property
    def serial(self) -> str:
        """As deny lists and metrics write it."""
        return f"{self.certificate.serial_number:x}"

    def write(self, folder: Path) -> "Files":
        """Writes both into a folder, each file replaced at once."""
        folder.mkdir(parents=True, exist_ok=True)
        replace(folder / "certificate.pem", self.chain)
        replace(folder / "key.pem", self.key, mode=0o400)
        return Files(folder / "certificate.pem", folder / "key.pem")


@dataclass(frozen=True)
class Files:
    """Where a leaf is."""

    certificate: Path
    key: Path


class Authority:
    """A root or an intermediate that issues leaves."""

    def __init__(
        self,
        name: str,
        *,
        issuer: "Authority | None" = None,
        expires: timedelta = 30 * DAY,
    ) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = issuer or self
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder(issuer_name=signer._name, subject_name=self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + expires)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(signer._key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(Encoding.PEM)
        # A chain leaves its root out.
        self._above = b"" if issuer is None else self.pem + issuer._above

    def intermediate(self, name: str) -> Self:
        """Returns an authority below this one."""
        return type(self)(name, issuer=self)

    def issue(
        self,
        *,
        dns: tuple[str, ...] = ("localhost",),
        ip: tuple[str, ...] = ("127.0.0.1",),
        spiffe: str = "",
        usages: tuple[x509.ObjectIdentifier, ...] = (SERVER, CLIENT),
        begins: timedelta = -DAY,
        expires: timedelta = 10 * DAY,
    ) -> Issued:
        """Returns a leaf; `begins` and `expires` are from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        names += [x509.IPAddress(ip_address(address)) for address in ip]
        if spiffe:
            names.append(x509.UniformResourceIdentifier(spiffe))
        certificate = (
            x509.CertificateBuilder(
                issuer_name=self._name,
                subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]),
            )
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + expires)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        pem = certificate.public_bytes(Encoding.PEM)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Issued(certificate, pem + self._above, secret)


def replace(path: Path, data: bytes, *, mode: int = 0o444) -> Path:
    """Writes a file beside its place and renames it, as whoever issues certificates does."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    beside.chmod(mode)
    beside.replace(path)
    return path
