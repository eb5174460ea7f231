"""What an authority knows, as plain values: the contents of `state.json`.

Rules that hold here: values are frozen, and every change makes a new state; the state says which
files count, so a file that it does not name is a leftover; nothing in it is secret.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from perdure_tls.identity import Identity

StateT = TypeVar("StateT", bound=BaseModel)
VERSION = 1
Number = Annotated[int, Field(ge=1)]
"""Counts the roots, the intermediates and the generations of a certificate, each from 1."""


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class KeyType(StrEnum):
    """Keys that every TLS library of the SDKs can use."""

    P256 = "p256"
    P384 = "p384"


class Issued(_Model):
    """A certificate that was made. `serial` and `fingerprint` (SHA-256) are hexadecimal."""

    serial: str
    not_before: AwareDatetime
    not_after: AwareDatetime
    fingerprint: str


class Root(Issued):
    """A root; `crl` numbers its newest revocation list, 0 when its list is not ours to make."""

    crl: int = 0


class Intermediate(Issued):
    """An intermediate, signed by the root of that number."""

    root: Number
    crl: int = 0


class Generation(Issued):
    """One certificate of a holder, signed by the intermediate of that number; 0 for another's."""

    issuer: int


class Certificate(_Model):
    """A holder, and its certificates over time."""

    identity: Identity
    key_type: KeyType = KeyType.P256
    own_key: bool = True
    """Whether the key is here; not so for one that came as a signing request."""
    imported: bool = False
    """Whether another authority signs it, so that it can be imported only."""
    lifetime_seconds: int
    current: Number
    generations: dict[int, Generation]

    @property
    def newest(self) -> Generation:
        """The certificate in use."""
        return self.generations[self.current]


class Reason(StrEnum):
    """Why a certificate was revoked, in the words of RFC 5280."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"


class Revocation(_Model):
    """A certificate that must not be accepted. `issuer` is as in its generation."""

    serial: str
    name: str
    issuer: int
    reason: Reason
    at: AwareDatetime
    not_after: AwareDatetime


class Retired(_Model):
    """A certificate that is used no more but valid until `not_after`."""

    serial: str
    name: str
    issuer: int
    not_after: AwareDatetime


class Kind(StrEnum):
    """What is rotated."""

    LEAF = "leaf"
    INTERMEDIATE = "intermediate"
    ROOT = "root"


class Phase(StrEnum):
    """Where a rotation stands; see `rotation.py` for the order."""

    PREPARE = "prepare"
    TRUST = "trust"
    VERIFY_TRUST = "verify-trust"
    SPREAD = "spread"
    ISSUE = "issue"
    VERIFY_ISSUED = "verify-issued"
    OVERLAP = "overlap"
    DROP = "drop"
    RESTORE = "restore"
    VERIFY_RESTORED = "verify-restored"
    LINGER = "linger"
    DISCARD = "discard"


class Rotation(_Model):
    """A rotation under way.

    `old_*` and `new_*` number authorities, the new None where the kind has none, or not yet.
    `previous` has the generation that each certificate had in use when new ones began to be issued.
    `lifetime_seconds` is that of the authority that is made.
    """

    kind: Kind
    phase: Phase
    started_at: AwareDatetime
    overlap_seconds: int
    lifetime_seconds: int | None = None
    old_root: Number
    new_root: int | None = None
    old_issuer: Number
    new_issuer: int | None = None
    previous: dict[str, int] = {}
    wait_until: AwareDatetime | None = None
    peers: tuple[str, ...] = ()


class State(_Model):
    """An authority.

    `trust` has the roots that all accept; `issuer` is the intermediate that signs, 0 when all
    certificates come from other authorities.
    """

    version: int = VERSION
    trust_domain: str
    roots: dict[int, Root]
    intermediates: dict[int, Intermediate]
    trust: tuple[int, ...]
    issuer: int
    certificates: dict[str, Certificate] = {}
    retired: tuple[Retired, ...] = ()
    revoked: tuple[Revocation, ...] = ()
    denied_spiffe_ids: tuple[str, ...] = ()
    rotation: Rotation | None = None

    def with_certificates(self, added: Mapping[str, Certificate]) -> "State":
        """Returns the state with certificates added or replaced."""
        return changed(self, certificates={**self.certificates, **added})

    def is_revoked(self, serial: str) -> bool:
        """Tells whether a serial number was revoked."""
        return any(entry.serial == serial for entry in self.revoked)


def changed(value: StateT, **fields: object) -> StateT:
    """Returns a copy with other values, checked as if it was read."""
    return type(value).model_validate({**dict(value), **fields})


def next_number(numbers: Iterable[int]) -> int:
    """Returns the number after the highest."""
    return max(numbers, default=0) + 1


def holders_of(state: State) -> tuple[str, ...]:
    """Returns the names of the certificates that are signed here."""
    return tuple(name for name, entry in state.certificates.items() if not entry.imported)


def pruned(state: State, now: datetime) -> State:
    """Returns the state without what was retired or revoked and has expired anyway."""
    retired = tuple(entry for entry in state.retired if entry.not_after > now)
    revoked = tuple(entry for entry in state.revoked if entry.not_after > now)
    return changed(state, retired=retired, revoked=revoked)


def with_generation(certificate: Certificate, generation: Generation) -> Certificate:
    """Returns a holder with one more certificate, which is in use."""
    number = next_number(certificate.generations)
    generations = {**certificate.generations, number: generation}
    return changed(certificate, current=number, generations=generations)


def without_old_generations(state: State, kept: Mapping[str, frozenset[int]]) -> State:
    """Returns the state with only some generations of holders, and those in use."""
    retired: list[Retired] = []
    held: dict[str, Certificate] = {}
    for name, numbers in kept.items():
        certificate, left = state.certificates[name], {}
        for number, entry in certificate.generations.items():
            if number in numbers or number == certificate.current:
                left[number] = entry
            else:
                retired.append(_retired(name, entry))
        held[name] = changed(certificate, generations=left)
    return changed(state.with_certificates(held), retired=(*state.retired, *retired))


def _retired(name: str, entry: Generation) -> Retired:
    return Retired(serial=entry.serial, name=name, issuer=entry.issuer, not_after=entry.not_after)
