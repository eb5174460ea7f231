"""Revokes certificates: by their issuer's list, and by the deny list of those who read no lists.

gRPC checks no revocation lists in Python: servers look into `denied.json`, other software reads
`crl.pem`.
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from perdure_tls import building, files
from perdure_tls.authority import CRL_LIFETIME
from perdure_tls.errors import TlsError
from perdure_tls.folder import Folder
from perdure_tls.state import Reason, Revocation, State, changed


@dataclass(frozen=True, slots=True)
class _Known:
    """A certificate that was issued here."""

    serial: str
    name: str
    issuer: int
    not_after: datetime


def revoke_names(folder: Folder, state: State, names: tuple[str, ...], reason: Reason) -> State:
    """Revokes every certificate of holders that is still valid, and forgets the holders.

    Raises:
        TlsError: A holder is unknown, or an issuer's key cannot be used.
    """
    serials: list[str] = []
    for name in names:
        if name not in state.certificates:
            raise TlsError(f"There is no certificate {name}.")
        serials += [entry.serial for entry in _known(state) if entry.name == name]
    state = _with_lists(folder, _revoked(folder, state, serials, reason))
    kept = {name: entry for name, entry in state.certificates.items() if name not in names}
    return folder.commit(changed(state, certificates=kept))


def revoke_serials(folder: Folder, state: State, serials: tuple[str, ...], reason: Reason) -> State:
    """Revokes certificates by their serial numbers; their holders stay, and can be renewed.

    Raises:
        TlsError: A certificate is unknown or revoked already, or an issuer's key cannot be used.
    """
    canonical = [_canonical(serial) for serial in serials]
    return folder.commit(_with_lists(folder, _revoked(folder, state, canonical, reason)))


def deny(folder: Folder, state: State, spiffe_ids: tuple[str, ...]) -> State:
    """Denies holders by their SPIFFE ids, whatever certificates they have or get.

    Raises:
        TlsError: An id is of another trust domain.
    """
    for spiffe_id in spiffe_ids:
        if not spiffe_id.startswith(f"spiffe://{state.trust_domain}/"):
            raise TlsError(
                f"{spiffe_id!r} is not of this trust domain: spiffe://{state.trust_domain}/…"
            )
    denied = tuple(dict.fromkeys((*state.denied_spiffe_ids, *spiffe_ids)))
    return folder.commit(changed(state, denied_spiffe_ids=denied))


def allow(folder: Folder, state: State, spiffe_ids: tuple[str, ...]) -> State:
    """Denies holders no more; certificates that were revoked stay so.

    Raises:
        TlsError: An id is not denied.
    """
    for spiffe_id in spiffe_ids:
        if spiffe_id not in state.denied_spiffe_ids:
            raise TlsError(f"{spiffe_id!r} is not denied.")
    denied = tuple(entry for entry in state.denied_spiffe_ids if entry not in spiffe_ids)
    return folder.commit(changed(state, denied_spiffe_ids=denied))


def refreshed(folder: Folder, state: State) -> tuple[State, list[int]]:
    """Returns the state with new lists of those intermediates whose list has run out by a third.

    The caller commits it. The list of an intermediate is signed with that intermediate's key.

    Raises:
        TlsError: An intermediate's key cannot be used.
    """
    due = [n for n in state.intermediates if _is_due(folder, state, n)]
    for number in due:
        state = _with_list(folder, state, number)
    return state, due


def _is_due(folder: Folder, state: State, number: int) -> bool:
    path = folder.intermediate(number) / f"crl-{state.intermediates[number].crl}.pem"
    ends = x509.load_pem_x509_crl(files.read(path)).next_update_utc
    return ends is None or ends - folder.now() < CRL_LIFETIME * 2 / 3


def _known(state: State) -> list[_Known]:
    known = [
        _Known(entry.serial, name, entry.issuer, entry.not_after)
        for name, certificate in state.certificates.items()
        for entry in certificate.generations.values()
    ]
    return known + [_Known(e.serial, e.name, e.issuer, e.not_after) for e in state.retired]


def _revoked(folder: Folder, state: State, serials: list[str], reason: Reason) -> State:
    known = {entry.serial: entry for entry in _known(state)}
    now = folder.now().replace(microsecond=0)
    added: list[Revocation] = []
    for serial in serials:
        if state.is_revoked(serial):
            raise TlsError(f"The certificate {serial} is revoked already.")
        entry = known.get(serial)
        if entry is None:
            raise TlsError(f"No certificate {serial} was issued here, or it has expired.")
        added.append(
            Revocation(
                serial=serial,
                name=entry.name,
                issuer=entry.issuer,
                reason=reason,
                at=now,
                not_after=entry.not_after,
            )
        )
    return changed(state, revoked=(*state.revoked, *added))


def _with_lists(folder: Folder, state: State) -> State:
    """Returns the state with a new list of each intermediate; those that are gone sign none."""
    for number in state.intermediates:
        state = _with_list(folder, state, number)
    return state


def _with_list(folder: Folder, state: State, number: int) -> State:
    issuer, now = folder.intermediate_issuer(number), folder.now()
    entry = changed(state.intermediates[number], crl=state.intermediates[number].crl + 1)
    crl = building.revocation_list(
        issuer,
        [revoked for revoked in state.revoked if revoked.issuer == number],
        number=entry.crl,
        now=now,
        next_update=now + CRL_LIFETIME,
    )
    place = folder.intermediate(number) / f"crl-{entry.crl}.pem"
    folder.disk.write(place, crl.public_bytes(Encoding.PEM))
    return changed(state, intermediates={**state.intermediates, number: entry})


def _canonical(serial: str) -> str:
    """Returns a serial number as the state has it, from hexadecimal with or without colons."""
    try:
        return f"{int(serial.replace(':', ''), 16):x}"
    except ValueError as error:
        raise TlsError(f"{serial!r} is no serial number in hexadecimal.") from error
