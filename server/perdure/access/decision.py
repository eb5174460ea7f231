"""Whether claims are enough for an RPC. Deny by default: only what is named here is allowed."""

from typing import Final

from perdure.access.claims import Claims, Role
from perdure.access.methods import Access, Rule, Scope

_NEEDED: Final = {
    Access.READ: Role.READER,
    Access.WRITE: Role.WRITER,
    Access.ADMIN: Role.ADMIN,
}


def allows(claims: Claims | None, rule: Rule, namespace: str) -> bool:
    """Tells whether somebody may call an RPC.

    Args:
        claims: The caller's; None for one who has shown nothing.
        rule: The RPC's.
        namespace: The one that the request names; empty when it names none, which is then no
            namespace's: only roles in the whole cluster count.
    """
    if rule.access is Access.OPEN:
        return True
    if claims is None:
        return False
    if rule.scope is Scope.SEEN:
        return claims.system != Role.NONE or any(claims.namespaces.values())
    roles = claims.system if rule.scope is Scope.CLUSTER else claims.roles(namespace)
    # Of two roles the higher bit includes the lower: as numbers, they are in order.
    return roles >= _NEEDED[rule.access] or (rule.by_workers and Role.WORKER in roles)


def sees_all(claims: Claims) -> bool:
    """Tells whether every namespace may be shown to somebody."""
    return claims.system != Role.NONE


def sees(claims: Claims, namespace: str) -> bool:
    """Tells whether a namespace may be shown to somebody: who has any role in it."""
    return claims.roles(namespace) != Role.NONE
