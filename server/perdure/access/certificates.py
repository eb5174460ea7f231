"""Client certificates: the claims that they stand for, and which of them are nodes'.

A certificate says who holds it by a SPIFFE id of the configured trust domain,
`spiffe://<trust domain>/ns/<namespace>/role/<role>/host/<host>`, as `perdure tls issue` makes them,
or by its subject, which a table then gives permissions. The transport has verified it already.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from perdure.access.claims import SYSTEM_SCOPE, Claims, Grants, Role, parse_permission
from perdure.rpc.peer_certificate import PeerCertificate

_SEGMENT: Final = "[A-Za-z0-9._-]+"  # SPIFFE-ID, 2.2
_FORM: Final = re.compile(
    f"spiffe://(?P<domain>{_SEGMENT})/ns/(?P<namespace>{_SEGMENT})"
    f"/role/(?P<role>{_SEGMENT})/host/{_SEGMENT}"
)
_ROLES: Final[Mapping[str, Role]] = {
    "worker": Role.WORKER,
    "application-worker": Role.WORKER,
    "reader": Role.READER,
    "writer": Role.WRITER,
    "admin": Role.ADMIN,
}
"""A `client` may do nothing by itself: its callers have tokens, or stand in the table."""
_NODES: Final = frozenset({"frontend", "history", "matching", "worker", "internode"})
"""Roles of nodes, in the system's namespace: there `worker` is a node that has that role."""


class Identity(NamedTuple):
    """What a SPIFFE id says."""

    id: str
    namespace: str
    role: str

    @property
    def is_node(self) -> bool:
        """Whether it is that of a node of the cluster."""
        return self.namespace == SYSTEM_SCOPE and self.role in _NODES


class CertificateMapper:
    """Makes claims of certificates."""

    def __init__(self, *, trust_domain: str, permissions: Mapping[str, Sequence[str]]) -> None:
        """Makes a mapper.

        Args:
            trust_domain: Whose SPIFFE ids count; empty for nobody's.
            permissions: `namespace:role` by subject (RFC 4514) or SPIFFE id. Besides those of the
                id's own role.
        """
        self._trust_domain = trust_domain
        self._permissions = permissions

    def map(self, certificate: PeerCertificate) -> Claims | None:
        """Returns what a certificate stands for; None where it is nobody that is known here."""
        named = identity_of(certificate, self._trust_domain)
        grants = Grants()
        if named is not None and not named.is_node:
            grants.add(named.namespace, _ROLES.get(named.role, Role.NONE))
        names = [certificate.subject]
        if len(certificate.spiffe_ids) == 1:
            names += certificate.spiffe_ids
        listed = [name for name in names if name in self._permissions]
        for name in listed:
            for text in self._permissions[name]:
                parsed = parse_permission(text)
                assert parsed is not None, "the configuration was checked"
                grants.add(*parsed)
        if named is None and not listed:
            return None
        return grants.claims(named.id if named is not None else listed[0])


def identity_of(certificate: PeerCertificate, trust_domain: str) -> Identity | None:
    """Returns who a certificate is by its SPIFFE id.

    None without one of the trust domain, and where there are several: an id has one holder, and a
    holder one id (X.509-SVID, 2).
    """
    if len(certificate.spiffe_ids) != 1:
        return None
    match = _FORM.fullmatch(certificate.spiffe_ids[0])
    if match is None or not trust_domain or match["domain"] != trust_domain:
        return None
    return Identity(match[0], match["namespace"], match["role"])
