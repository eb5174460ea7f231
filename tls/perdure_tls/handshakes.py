"""Speaks TLS to a gRPC listener: whether it is who it should be, and whom it lets in.

In TLS 1.3 a client has finished its handshake before the server has looked at the client's
certificate. So the client goes on to say HTTP/2's first words: a server that accepts it answers
with its settings, and one that does not sends an alert or closes.
"""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from perdure_tls import building
from perdure_tls.errors import TlsError
from perdure_tls.findings import Finding

TIMEOUT_SECONDS = 10.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""RFC 9113, 3.4: the preface, then an empty SETTINGS frame."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A listener, and the name that its certificate should carry."""

    host: str
    port: int
    server_name: str

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """A client's certificate, with its issuers', and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of speaking to a peer.

    `certificate` is what it presented, None when the handshake failed before; `problem` says why
    the client was not let in, None when it was. `client_refused` tells that the peer refused the
    client, rather than the client the peer.
    """

    certificate: x509.Certificate | None
    problem: str | None
    client_refused: bool = False


def parse_peer(text: str) -> Peer:
    """Reads `host:port` or `host:port=name`, with brackets around an IPv6 address.

    Raises:
        TlsError: It is none.
    """
    address, _, server_name = text.partition("=")
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise TlsError(f"{text!r} is no peer: write HOST:PORT, or HOST:PORT=NAME.")
    return Peer(host, int(port), server_name or host)


def check_peer(
    peer: Peer,
    trust: Path,
    client: ClientFiles,
    *,
    serials: frozenset[str] = frozenset(),
    anonymous: bool = True,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> list[Finding]:
    """Checks a peer: its certificate, that a client is let in, and one without certificate is not.

    `serials`: what it may present, anything trusted when there are none; `anonymous`: whether to
    check the client without a certificate.
    """
    answer = speak(peer, trust, client, timeout_seconds=timeout_seconds)
    subject = str(peer)
    findings = [
        Finding(
            "handshake", subject, answer.problem is None, answer.problem or "accepts the client"
        )
    ]
    if answer.certificate is not None and serials:
        serial = building.serial_text(answer.certificate)
        known = serial in serials
        said = f"presents {serial}" if known else f"presents {serial}, which is not in use any more"
        findings.append(Finding("presented", subject, known, said))
    if anonymous and answer.problem is None:
        without = speak(peer, trust, None, timeout_seconds=timeout_seconds)
        said = "refuses a client without a certificate"
        if not without.client_refused:
            said = without.problem or (
                "accepts a client without a certificate: set requireClientAuth"
            )
        findings.append(Finding("anonymous", subject, without.client_refused, said))
    return findings


def speak(
    peer: Peer,
    trust: Path,
    client: ClientFiles | None,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Connects, shakes hands, and waits for the server's first words.

    Raises:
        TlsError: The trust bundle or the client's files cannot be used.
    """
    context = _context(trust, client)
    try:
        with socket.create_connection((peer.host, peer.port), timeout_seconds) as connection:
            return _handshake(context, connection, peer)
    except OSError as error:
        return Answer(None, f"cannot be reached: {error.strerror or error}")


def _handshake(context: ssl.SSLContext, connection: socket.socket, peer: Peer) -> Answer:
    try:
        secured = context.wrap_socket(connection, server_hostname=peer.server_name)
    except ssl.SSLCertVerificationError as error:
        return Answer(None, f"its certificate is refused: {error.verify_message}")
    except ssl.SSLError as error:
        # In TLS 1.2 a server looks at the client's certificate before the handshake ends.
        refused = "ALERT" in (error.reason or "")
        return Answer(None, f"ends the handshake: {_reason(error)}", client_refused=refused)
    except OSError as error:
        return Answer(None, f"closes the connection: {error.strerror or error}")
    with secured:
        presented = secured.getpeercert(binary_form=True)
        assert presented is not None
        certificate = x509.load_der_x509_certificate(presented)
        return _first_words(secured, certificate)


def _first_words(secured: ssl.SSLSocket, certificate: x509.Certificate) -> Answer:
    if secured.selected_alpn_protocol() != "h2":
        return Answer(certificate, "does not speak HTTP/2 (no ALPN): is it a gRPC listener?")
    try:
        secured.sendall(_PREFACE)
        if secured.recv(1):
            return Answer(certificate, None)
    except TimeoutError:
        return Answer(certificate, "says nothing after the handshake")
    except (ssl.SSLError, ConnectionError) as error:
        reason = _reason(error)
        return Answer(certificate, f"refuses the client: {reason}", client_refused=True)
    return Answer(certificate, "refuses the client: closed", client_refused=True)


def _context(trust: Path, client: ClientFiles | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(trust))
        if client is not None:
            # An empty passphrase rather than a question on the terminal.
            context.load_cert_chain(client.certificate, client.key, password="")
    except (OSError, ValueError) as error:
        raise TlsError(f"The files of the handshake cannot be used: {error}.") from error
    context.set_alpn_protocols(["h2"])
    return context


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return (reason or error.strerror or str(error)).lower().replace("_", " ")
