"""Whom a certificate stands for: its role, its host, its names, and what it may be used for.

Rules that hold here: every certificate carries exactly one SPIFFE id, made from its role, namespace
and host and never taken from a request; what a certificate may do follows from its role alone.
"""

import ipaddress
import re
from enum import StrEnum
from typing import Self

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import BaseModel, ConfigDict

from perdure_tls.errors import TlsError


class Role(StrEnum):
    """What the holder is in a cluster."""

    FRONTEND = "frontend"
    HISTORY = "history"
    MATCHING = "matching"
    WORKER = "worker"  # the system worker, as everywhere in the server
    INTERNODE = "internode"
    DATABASE = "database"
    MONITORING = "monitoring"
    APPLICATION_WORKER = "application-worker"
    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"
    CLIENT = "client"  # may do nothing by itself: its token or subject says what


class Usage(StrEnum):
    """A side of a TLS connection."""

    SERVER = "server"
    CLIENT = "client"


USAGES: dict[Role, frozenset[Usage]] = {
    Role.FRONTEND: frozenset({Usage.SERVER}),
    # Nodes call each other: each of them is a server and a client.
    Role.HISTORY: frozenset(Usage),
    Role.MATCHING: frozenset(Usage),
    Role.WORKER: frozenset(Usage),
    Role.INTERNODE: frozenset(Usage),
    Role.DATABASE: frozenset({Usage.SERVER}),
    # Prometheus calls others, exporters and Grafana are called.
    Role.MONITORING: frozenset(Usage),
    Role.APPLICATION_WORKER: frozenset({Usage.CLIENT}),
    Role.READER: frozenset({Usage.CLIENT}),
    Role.WRITER: frozenset({Usage.CLIENT}),
    Role.ADMIN: frozenset({Usage.CLIENT}),
    Role.CLIENT: frozenset({Usage.CLIENT}),
}

USAGE_OIDS = {
    Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}

APPLICATION_ROLES = frozenset(
    {Role.APPLICATION_WORKER, Role.READER, Role.WRITER, Role.ADMIN, Role.CLIENT}
)
SYSTEM_NAMESPACE = "temporal-system"
"""The namespace in the SPIFFE ids of what belongs to no application: nodes, and whoever may see
or change the whole cluster."""
DEFAULT_NAMESPACE = "default"

_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,128}")  # SPIFFE-ID §2.2
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")  # SPIFFE-ID §2.1
_SPIFFE_ID = re.compile(
    r"spiffe://(?P<domain>[^/]+)/ns/(?P<namespace>[^/]+)/role/(?P<role>[^/]+)/host/(?P<host>[^/]+)"
)
_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_CERTIFICATE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


class Identity(BaseModel):
    """A holder. `dns` and `ips` are all names that its certificate carries, the host's included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    namespace: str
    host: str
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        role: Role,
        host: str,
        *,
        namespace: str = "",
        dns: tuple[str, ...] = (),
        ips: tuple[str, ...] = (),
    ) -> Self:
        """Makes an identity from what an operator says of it.

        Raises:
            TlsError: A name cannot stand in a certificate.
        """
        application = role in APPLICATION_ROLES
        namespace = namespace or (DEFAULT_NAMESPACE if application else SYSTEM_NAMESPACE)
        for what, text in (("host", host), ("namespace", namespace)):
            _check_segment(what, text)
        address = _address(host)
        dns = dns if address else (host, *dns)
        ips = (address, *ips) if address else ips
        return cls(
            role=role,
            namespace=namespace,
            host=host,
            dns=tuple(dict.fromkeys(_checked_dns(name) for name in dns)),
            ips=tuple(dict.fromkeys(_checked_address(ip) for ip in ips)),
        )

    @property
    def usages(self) -> frozenset[Usage]:
        """The sides of a connection that the holder may take."""
        return USAGES[self.role]

    def spiffe_id(self, trust_domain: str) -> str:
        """Returns the URI that names the holder."""
        path = f"ns/{self.namespace}/role/{self.role}/host/{self.host}"
        return f"spiffe://{trust_domain}/{path}"

    @classmethod
    def of_spiffe_id(cls, text: str, trust_domain: str) -> Self | None:
        """Returns whom a URI of a trust domain names; None when it is not of this form."""
        matched = _SPIFFE_ID.fullmatch(text)
        if matched is None or matched["domain"] != trust_domain or matched["role"] not in set(Role):
            return None
        return cls.of(Role(matched["role"]), matched["host"], namespace=matched["namespace"])

    def alternative_names(self, trust_domain: str) -> x509.SubjectAlternativeName:
        """Returns the extension that carries every name."""
        return x509.SubjectAlternativeName(
            [
                *(x509.DNSName(name) for name in self.dns),
                *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in self.ips),
                x509.UniformResourceIdentifier(self.spiffe_id(trust_domain)),
            ]
        )


def default_name(identity: Identity) -> str:
    """Returns the name of the folder of a certificate that was given none."""
    parts: list[str] = [identity.role]
    if identity.role in APPLICATION_ROLES:
        parts.append(identity.namespace)
    return "-".join([*parts, identity.host]).lower()


def check_name(name: str) -> str:
    """Returns a certificate's name, which is also its folder's.

    Raises:
        TlsError: It cannot be a folder's.
    """
    if not _CERTIFICATE_NAME.fullmatch(name):
        raise TlsError(
            f"{name!r} cannot name a certificate: use lower-case letters, digits, '.', '_' and '-'."
        )
    return name


def check_trust_domain(text: str) -> str:
    """Returns a trust domain.

    Raises:
        TlsError: It cannot stand in a SPIFFE id.
    """
    if not _TRUST_DOMAIN.fullmatch(text):
        raise TlsError(
            f"{text!r} is no trust domain: use lower-case letters, digits, '.', '_' and '-'."
        )
    return text


def _check_segment(what: str, text: str) -> None:
    if not _SEGMENT.fullmatch(text) or text in {".", ".."}:
        raise TlsError(
            f"The {what} {text!r} cannot stand in a SPIFFE id, which has letters, digits, '.', '_'"
            " and '-': give it another name, and addresses by --ip."
        )


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _checked_address(text: str) -> str:
    address = _address(text)
    if address is None:
        raise TlsError(f"{text!r} is no IP address.")
    return address


def _checked_dns(name: str) -> str:
    labels = name.removeprefix("*.").split(".")
    if len(name) > 253 or not all(_DNS_LABEL.fullmatch(label) for label in labels):  # noqa: PLR2004
        raise TlsError(f"{name!r} is no DNS name.")
    return name.lower()
