"""From files that are followed to what ports and connections are given."""

import os
import ssl
from collections.abc import Callable
from typing import Final

from perdure.config.ciphers import choose_cipher_suites
from perdure.rpc.tls.credentials import (
    ChannelSecurity,
    channel_security,
    server_credentials,
)
from perdure.rpc.tls.following import TlsFiles
from perdure.rpc.tls.gate import Gate
from perdure.rpc.tls.material import Material, ServerMaterial
from perdure.rpc.tls.security import NodeSecurity, PeerSecurity, ServerSecurity

_HTTP_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


def node_security(files: TlsFiles) -> NodeSecurity:
    """Returns what follows the files, for every gRPC port and connection."""
    choose_cipher_suites(os.environ)
    return NodeSecurity(
        frontend=_port(files, lambda material: material.frontend),
        internode=_port(files, lambda material: material.internode),
        peers=_peers(files),
    )


def scraped_context(files: TlsFiles) -> Callable[[], ssl.SSLContext] | None:
    """Returns what gives the context of the metrics port; None where that is plain."""
    first = files.current.metrics
    if first is None:
        return None
    shown, context = first, _context(first)

    def current() -> ssl.SSLContext:
        nonlocal shown, context
        material = files.current.metrics
        if material is not None and material is not shown:
            # The context first: another scrape must not take the old one for the new.
            context, shown = _context(material), material
        return context

    return current


def _port(
    files: TlsFiles, choose: Callable[[Material], ServerMaterial | None]
) -> ServerSecurity | None:
    if choose(files.current) is None:
        return None

    def current() -> ServerMaterial:
        material = choose(files.current)
        assert material is not None, "a port that has a certificate keeps having one"
        return material

    gate = Gate(files.current.denied)
    files.subscribe(lambda material: gate.change(material.denied))
    return ServerSecurity(server_credentials(current), gate)


def _peers(files: TlsFiles) -> PeerSecurity | None:
    if files.current.peers is None:
        return None

    def current() -> ChannelSecurity:
        material = files.current.peers
        assert material is not None, "connections that have TLS keep having it"
        return channel_security(material)

    def follow(changed: Callable[[], None]) -> None:
        used = files.current.peers

        def look(material: Material) -> None:
            nonlocal used
            if material.peers != used:
                used = material.peers
                changed()

        files.subscribe(look)

    return PeerSecurity(current, follow)


def _context(material: ServerMaterial) -> ssl.SSLContext:
    """Returns the context of an HTTP port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_HTTP_CIPHERS)
    (pair,) = material.pairs
    # Python takes certificates from files only: this one is in memory, and nobody else's.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pair.key + b"\n" + pair.chain)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    if material.client_authorities:
        context.load_verify_locations(cadata=material.client_authorities.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context
