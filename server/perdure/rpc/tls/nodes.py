"""Which certificates are nodes': what the port between nodes lets in beyond the transport's checks.

An authority that nodes trust may have issued certificates for applications and people too; those
must not call history and matching past the frontend.
"""

import re
from typing import Final

from perdure.rpc.peer_certificate import PeerCertificate

_ROLE: Final = re.compile(r"spiffe://[^/]+/ns/([^/]+)/role/([^/]+)/host/[^/]+")
_NODES: Final = frozenset({"frontend", "history", "matching", "worker", "internode"})
_NAMESPACE: Final = "temporal-system"


def is_node(certificate: PeerCertificate | None) -> bool:
    """Tells whether a certificate can be a node's.

    It must be one for servers as well, and a SPIFFE id in the form of `perdure tls` must name a
    node's role. Other authorities' ids say nothing.
    """
    if certificate is None or not certificate.may_serve:
        return False
    roles = [match.groups() for match in map(_ROLE.fullmatch, certificate.spiffe_ids) if match]
    return all(namespace == _NAMESPACE and role in _NODES for namespace, role in roles)
