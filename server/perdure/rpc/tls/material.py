"""What ports and connections need to have TLS, as bytes that have been checked."""

from dataclasses import dataclass, field

from perdure.rpc.tls.denied import NOBODY, Denied


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its intermediates, and its key: PEM."""

    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerMaterial:
    """What a port shows, and what it wants of clients.

    Attributes:
        pairs: The usual certificate first; then those of other names, chosen by SNI.
        client_authorities: PEM of the authorities of clients; empty where none must show one.
    """

    pairs: tuple[Pair, ...]
    client_authorities: bytes = b""


@dataclass(frozen=True, slots=True)
class ClientMaterial:
    """What a connection trusts and shows.

    Attributes:
        authorities: PEM of those that the far end's certificate may come from.
        pair: What is shown, where the far end wants it.
        server_name: The DNS name that the far end's certificate must have; else the host called.
    """

    authorities: bytes
    pair: Pair | None = None
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What is told of one certificate of one bundle.

    Attributes:
        scope: The port: `frontend`, `internode`, `metrics`, or `system_worker`.
        role: `server` for what the port shows, `client` for what connections show, `trust` for
            authorities.
        subject: As RFC 4514 writes it.
        serial: Lower-case hexadecimal.
        ca: Whether it may issue others.
        expires: Seconds since the Unix epoch.
        source: The file, for people.
    """

    scope: str
    role: str
    subject: str
    serial: str
    ca: bool
    expires: int
    source: str


@dataclass(frozen=True, slots=True)
class Material:
    """Everything, as it was at one moment; None is for a port without TLS."""

    frontend: ServerMaterial | None = None
    internode: ServerMaterial | None = None
    metrics: ServerMaterial | None = None
    peers: ClientMaterial | None = None
    denied: Denied = NOBODY
    certificates: tuple[CertificateFacts, ...] = ()
