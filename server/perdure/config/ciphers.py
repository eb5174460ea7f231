"""Which cipher suites gRPC uses, on ports and connections."""

from collections.abc import MutableMapping

CIPHER_SUITES = ":".join(
    (
        *("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"),
        *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        *("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"),
    )
)
"""Forward secrecy and authenticated encryption only, whatever the environment says."""


def choose_cipher_suites(environment: MutableMapping[str, str]) -> None:
    """Has gRPC, which looks there once, use the cipher suites above."""
    environment["GRPC_SSL_CIPHER_SUITES"] = CIPHER_SUITES
