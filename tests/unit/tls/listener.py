"""A listener that speaks as much TLS and HTTP/2 as a gRPC server does at first."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@dataclass(frozen=True)
class Files:
    """What a listener reads anew for every connection, as a server that reloads does."""

    certificate: Path
    key: Path
    trust: Path


@contextmanager
def listening(
    files: Files,
    *,
    asks: bool = True,
    protocols: tuple[str, ...] = ("h2",),
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> Iterator[str]:
    """Gives the address of a listener. `asks`: whether clients need a certificate."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, files, asks, protocols, newest))
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        try:
            yield address
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def plain() -> Iterator[str]:
    """Gives the address of a listener that answers in plain text."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def _serve(
    server: socket.socket,
    files: Files,
    asks: bool,
    protocols: tuple[str, ...],
    newest: ssl.TLSVersion,
) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # closed at the end
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = newest
        context.load_cert_chain(files.certificate, files.key)
        context.load_verify_locations(files.trust)
        context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols(list(protocols))
        with connection:
            connection.settimeout(10)
            _answer(context, connection)


def _answer(context: ssl.SSLContext, connection: socket.socket) -> None:
    try:
        with context.wrap_socket(connection, server_side=True) as secured:
            if secured.recv(64):
                secured.sendall(_SETTINGS)
                secured.recv(64)
    except (ssl.SSLError, OSError):
        return  # refused, or the client has gone: it is the client that reports
