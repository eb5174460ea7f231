"""When certificates are due, and their renewal.

A certificate is due when less than a third of its period is left, a little less for some than for
others: the fraction comes from its serial number, so that many certificates that were issued
together are not renewed together, and each is due at one moment, however often one looks.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure_tls import revocation
from perdure_tls.errors import TlsError
from perdure_tls.folder import Folder
from perdure_tls.issuing import reissue
from perdure_tls.state import Issued, State, holders_of, without_old_generations

_JITTER_SHARE = 12
"""The jitter is up to a twelfth of the period: a quarter of it is left at the least."""
_SERIAL_PART = 1 << 32


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a certificate ends. `kind` is root, intermediate or leaf; `name` its name or number."""

    kind: str
    name: str
    serial: str
    not_after: datetime
    due_at: datetime


def due_at(issued: Issued) -> datetime:
    """Returns when a certificate should be renewed."""
    period = issued.not_after - issued.not_before
    fraction = int(issued.serial, 16) % _SERIAL_PART / _SERIAL_PART
    return issued.not_after - period / 3 + period / _JITTER_SHARE * fraction


def expiries(state: State) -> list[Expiry]:
    """Returns when everything in use ends, the first first."""
    found = [_expiry("root", str(number), entry) for number, entry in state.roots.items()]
    found += [_expiry("intermediate", str(n), entry) for n, entry in state.intermediates.items()]
    found += [_expiry("leaf", name, entry.newest) for name, entry in state.certificates.items()]
    return sorted(found, key=lambda entry: entry.not_after)


def expiring(
    entries: list[Expiry], now: datetime, within: timedelta | None
) -> tuple[list[Expiry], list[Expiry]]:
    """Returns what has expired, and what does within a time; without one, what is due."""
    ended = [entry for entry in entries if entry.not_after <= now]
    soon = [
        entry
        for entry in entries
        if entry.not_after > now
        and (entry.due_at <= now if within is None else entry.not_after - now <= within)
    ]
    return ended, soon


@dataclass(frozen=True, slots=True)
class Renewed:
    """What came of a renewal: the names of what was renewed, and why others could not be."""

    names: tuple[str, ...]
    failed: dict[str, str]


def renew(
    folder: Folder, state: State, names: tuple[str, ...], *, force: bool
) -> tuple[State, Renewed]:
    """Renews holders' certificates that are due, and revocation lists.

    The certificate before the newest is kept, and whatever a rotation would go back to.

    Raises:
        TlsError: A name is unknown, or a revocation list cannot be signed.
    """
    for name in names:
        if name not in state.certificates:
            raise TlsError(f"There is no certificate {name}.")
    kept: dict[str, frozenset[int]] = {}
    failed: dict[str, str] = {}
    for name in names or holders_of(state):
        if force or _is_due(folder, state, name):
            before = _kept(state, name)
            try:
                state = reissue(folder, state, [name])
            except TlsError as error:  # no reason to let the others expire
                failed[name] = str(error)
            else:
                kept[name] = before
    if kept:
        state = folder.commit(without_old_generations(state, kept))
    state, lists = revocation.refreshed(folder, state)
    state = folder.commit(state) if lists else state
    return state, Renewed(tuple(kept), failed)


def _is_due(folder: Folder, state: State, name: str) -> bool:
    newest = state.certificates[name].newest
    return state.is_revoked(newest.serial) or due_at(newest) <= folder.now()


def _kept(state: State, name: str) -> frozenset[int]:
    """Returns the generation before the next, and the one that a rotation would go back to."""
    kept = {state.certificates[name].current}
    if state.rotation is not None and name in state.rotation.previous:
        kept.add(state.rotation.previous[name])
    return frozenset(kept)


def _expiry(kind: str, name: str, issued: Issued) -> Expiry:
    return Expiry(kind, name, issued.serial, issued.not_after, due_at(issued))
