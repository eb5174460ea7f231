"""Gives certificates to gRPC, which asks a port's for each handshake.

Theory of operation: the transport calls the fetcher, in a thread of its own, before each handshake
of a port; a new configuration makes it forget the old one, the tickets of sessions included, so
that nobody resumes what a dropped authority had let in. Connections that are open stay. A channel
has the credentials that it was made with: who holds channels makes new ones.

Rules that hold here: TLS 1.2 is the least, which is the library's own rule; the cipher suites are
chosen in the configuration's module, since the library reads them once, from the environment.
"""

from collections.abc import Callable
from typing import NamedTuple

import grpc

from perdure.rpc.tls.material import ClientMaterial, ServerMaterial


def server_credentials(current: Callable[[], ServerMaterial]) -> grpc.ServerCredentials:
    """Returns the credentials of a port, which follow what `current` returns.

    Whether clients must show a certificate stays as it is now.

    Args:
        current: Called in any thread; returns the same object as long as nothing changes.
    """
    shown = current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        material = current()
        if material is shown:
            return None
        shown = material
        return _configuration(material)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(shown),
        fetch,  # type: ignore[arg-type]  # the stubs forget None: unchanged
        require_client_authentication=bool(shown.client_authorities),
    )


class ChannelSecurity(NamedTuple):
    """How channels are made: their credentials, and options beside their others."""

    credentials: grpc.ChannelCredentials
    options: tuple[tuple[str, str], ...]


def channel_security(material: ClientMaterial) -> ChannelSecurity:
    """Returns how channels are made that trust and show what `material` says."""
    pair = material.pair
    credentials = grpc.ssl_channel_credentials(
        root_certificates=material.authorities,
        private_key=None if pair is None else pair.key,
        certificate_chain=None if pair is None else pair.chain,
    )
    name = material.server_name
    return ChannelSecurity(credentials, (("grpc.ssl_target_name_override", name),) if name else ())


def _configuration(material: ServerMaterial) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pair.key, pair.chain) for pair in material.pairs],
        root_certificates=material.client_authorities or None,
    )
