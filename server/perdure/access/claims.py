"""What a caller may do, as tokens and certificates say it.

Roles are Temporal's, as sets of bits: of two, the higher bit allows all that the lower one does,
except that a worker's bit stands for a set of RPCs of its own (`methods.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Final

SYSTEM_SCOPE: Final = "temporal-system"
"""In a permission's place of a namespace: the whole cluster."""


class Role(IntFlag):
    """What somebody is, in a namespace or in the whole cluster."""

    NONE = 0
    WORKER = 1
    """Polls for tasks and answers them."""
    READER = 2
    """Looks."""
    WRITER = 4
    """Starts, signals, terminates; works, too."""
    ADMIN = 8
    """Registers, changes and deletes namespaces and search attributes."""


ROLES_BY_WORD: Final[Mapping[str, Role]] = {
    "worker": Role.WORKER,
    "read": Role.READER,
    "write": Role.WRITER,
    "admin": Role.ADMIN,
}
"""What permissions call the roles, in Temporal's form."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Who somebody is, and what they may do.

    Attributes:
        subject: Who it is, for logs: a token's subject, a SPIFFE id, a certificate's subject.
        system: Roles in every namespace and in the cluster itself.
        namespaces: Roles by namespace.
    """

    subject: str
    system: Role = Role.NONE
    namespaces: Mapping[str, Role] = field(default_factory=dict)

    def roles(self, namespace: str) -> Role:
        """Returns the roles that hold in a namespace."""
        return self.system | self.namespaces.get(namespace, Role.NONE)


class Grants:
    """Roles as they are gathered from permissions, one after the other."""

    __slots__ = ("namespaces", "system")

    def __init__(self) -> None:
        self.system = Role.NONE
        self.namespaces: dict[str, Role] = {}

    def add(self, scope: str, role: Role) -> None:
        """Adds a role in a namespace, or in the cluster for `SYSTEM_SCOPE`.

        A scope without a name is none: requests that name no namespace are nobody's.
        """
        if scope == SYSTEM_SCOPE:
            self.system |= role
        elif scope:
            self.namespaces[scope] = self.namespaces.get(scope, Role.NONE) | role

    def claims(self, subject: str) -> Claims:
        """Returns what was gathered, as somebody's."""
        return Claims(subject, self.system, self.namespaces)


def parse_permission(text: str) -> tuple[str, Role] | None:
    """Reads a permission such as `orders:write`; None for what is not of that form.

    A word that names no role is `Role.NONE`, as on the real server.
    """
    scope, colon, word = text.partition(":")
    return (scope, role_of(word)) if colon else None


def role_of(word: str) -> Role:
    """Returns the role of a permission's word, in any case; NONE where it names none."""
    return ROLES_BY_WORD.get(word.lower(), Role.NONE)
