"""Rotation as a state machine over the authority's plain state; it reads, writes and signs nothing.

Theory of operation. `step` looks at a state and says the one thing to do next; whoever performs it
makes the next state with `with_root`, `with_intermediate`, `verified` or the reissued certificate,
stores that, and asks again. All progress is in the state, so an interrupted rotation goes on where
it stood, and a step that was performed but not stored is performed again.

    root          prepare → trust → verify-trust → spread → issue → verify-issued → overlap → drop
    intermediate  prepare                                 → issue → verify-issued → overlap → drop
    leaf                                                    issue → verify-issued → overlap → drop
    backward      restore → verify-restored (→ linger, of a root) → discard

Listeners are seen by handshakes; clients cannot be, so they are given time: `spread` until they
have the new root, `overlap` and `linger` until they use the certificates that are to stay.

Rules that hold here: nobody gets a certificate before everybody accepts its issuer; the old one is
accepted until everybody uses the new one; until `drop`, everything that is needed to go back is
kept. Backward, what was in use before is in use again before the new authority is distrusted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure_tls.errors import TlsError
from perdure_tls.state import (
    Certificate,
    Generation,
    Intermediate,
    Issued,
    Kind,
    Phase,
    Root,
    Rotation,
    State,
    changed,
    holders_of,
    next_number,
    with_generation,
    without_old_generations,
)

_FORWARD: dict[Kind, tuple[Phase, ...]] = {
    Kind.LEAF: (Phase.ISSUE, Phase.VERIFY_ISSUED, Phase.OVERLAP, Phase.DROP),
    Kind.INTERMEDIATE: (
        Phase.PREPARE,
        Phase.ISSUE,
        Phase.VERIFY_ISSUED,
        Phase.OVERLAP,
        Phase.DROP,
    ),
    Kind.ROOT: (
        Phase.PREPARE,
        Phase.TRUST,
        Phase.VERIFY_TRUST,
        Phase.SPREAD,
        Phase.ISSUE,
        Phase.VERIFY_ISSUED,
        Phase.OVERLAP,
        Phase.DROP,
    ),
}
_BACK = (Phase.RESTORE, Phase.VERIFY_RESTORED, Phase.DISCARD)
_BACKWARD: dict[Kind, tuple[Phase, ...]] = {
    Kind.LEAF: _BACK,
    Kind.INTERMEDIATE: _BACK,
    Kind.ROOT: (Phase.RESTORE, Phase.VERIFY_RESTORED, Phase.LINGER, Phase.DISCARD),
}
_REISSUED_AT_ONCE = 100
"""The state is stored after so many certificates: often for a thousand is quadratic."""
_WAITING = {
    Phase.SPREAD: "clients may not have the new root yet",
    Phase.OVERLAP: "clients may still have old certificates",
    Phase.LINGER: "clients may still have certificates of the new root",
}
_UNUSED_UNTIL = frozenset({Phase.PREPARE, Phase.TRUST, Phase.VERIFY_TRUST, Phase.SPREAD})
"""Phases in which nobody has a certificate of the new authority."""


@dataclass(frozen=True, slots=True)
class MakeRoot:
    """Make a root of that number."""

    number: int


@dataclass(frozen=True, slots=True)
class MakeIntermediate:
    """Make an intermediate of that number, signed by a root."""

    number: int
    root: int


@dataclass(frozen=True, slots=True)
class Reissue:
    """Give holders new certificates, signed by an intermediate, and put them in use."""

    names: tuple[str, ...]
    issuer: int


@dataclass(frozen=True, slots=True)
class Verify:
    """See that every peer accepts a client of an intermediate and presents a serial number.

    Without `serials`, any certificate that is trusted will do.
    """

    client_issuer: int
    serials: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """Store a state; `said` is what it does."""

    state: State
    said: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back later; `why` says for whom."""

    until: datetime
    why: str


Step = MakeRoot | MakeIntermediate | Reissue | Verify | Change | Wait


def begin(
    state: State,
    kind: Kind,
    *,
    now: datetime,
    overlap: timedelta,
    lifetime: timedelta | None = None,
    names: Iterable[str] = (),
) -> State:
    """Starts a rotation.

    Args:
        state: Where no rotation is under way.
        kind: What is rotated.
        now: The time.
        overlap: How long clients have whenever they need a new root or certificate.
        lifetime: That of the new root or intermediate.
        names: The holders of a leaf rotation; all when there are none.

    Raises:
        TlsError: Another is under way, or a holder is unknown.
    """
    if state.rotation is not None:
        raise TlsError(
            f"A rotation of the {state.rotation.kind} is under way: finish it, or roll it back."
        )
    if not state.issuer:
        raise TlsError("All certificates are imported: rotate them where they come from.")
    names = tuple(names) or holders_of(state)
    for name in names:
        if name not in holders_of(state):
            raise TlsError(f"There is no certificate {name} that is signed here.")
    rotation = Rotation(
        kind=kind,
        phase=_FORWARD[kind][0],
        started_at=now,
        overlap_seconds=int(overlap.total_seconds()),
        old_root=state.intermediates[state.issuer].root,
        old_issuer=state.issuer,
        lifetime_seconds=int(lifetime.total_seconds()) if lifetime else None,
        previous=_in_use(state, names) if kind == Kind.LEAF else {},
    )
    return changed(state, rotation=rotation)


def turn_back(state: State) -> State:
    """Turns a rotation round.

    Raises:
        TlsError: There is none, it goes back already, or the old is being dropped.
    """
    rotation = under_way(state)
    if goes_back(rotation):
        raise TlsError("The rotation goes back already: run it again to go on.")
    if rotation.phase == Phase.DROP:
        raise TlsError("The old is being dropped: finish the rotation, and start another one.")
    phase = Phase.DISCARD if rotation.phase in _UNUSED_UNTIL else Phase.RESTORE
    turned = changed(rotation, phase=phase, wait_until=None)
    return changed(state, rotation=turned, issuer=rotation.old_issuer)


def under_way(state: State) -> Rotation:
    """Returns the rotation.

    Raises:
        TlsError: There is none.
    """
    if state.rotation is None:
        raise TlsError("No rotation is under way.")
    return state.rotation


def step(state: State, now: datetime) -> Step | None:
    """Returns what is to be done next; None when no rotation is under way."""
    if state.rotation is None:
        return None
    return _STEPS[state.rotation.phase](state, state.rotation, now)


def with_root(state: State, number: int, root: Root) -> State:
    """Returns the state after `MakeRoot`."""
    rotation = changed(under_way(state), new_root=number)
    return changed(state, roots={**state.roots, number: root}, rotation=rotation)


def with_intermediate(state: State, number: int, made: Intermediate) -> State:
    """Returns the state after `MakeIntermediate`."""
    rotation = changed(under_way(state), new_issuer=number)
    return changed(state, intermediates={**state.intermediates, number: made}, rotation=rotation)


def verified(state: State, now: datetime) -> State:
    """Returns the state after `Verify`."""
    return _advanced(state, now)


def goes_back(rotation: Rotation) -> bool:
    """Tells whether a rotation was turned round."""
    return rotation.phase in _BACKWARD[Kind.ROOT]


def phases(rotation: Rotation) -> tuple[Phase, ...]:
    """Returns the phases of a rotation in the direction it goes."""
    return (_BACKWARD if goes_back(rotation) else _FORWARD)[rotation.kind]


def plan(state: State, now: datetime) -> list[str]:
    """Returns what a rotation will do from here, as if all went well."""
    said: list[str] = []
    made = Issued(serial="0", not_before=now, not_after=now + timedelta(days=1), fingerprint="")
    while (next_step := step(state, now)) is not None:
        said.append(describe(next_step))
        match next_step:
            case MakeRoot(number):
                state = with_root(state, number, Root(**dict(made)))
            case MakeIntermediate(number, root):
                state = with_intermediate(state, number, Intermediate(**dict(made), root=root))
            case Reissue(names, issuer):
                generation = Generation(**dict(made), issuer=issuer)
                state = state.with_certificates(
                    {name: with_generation(state.certificates[name], generation) for name in names}
                )
            case Verify():
                state = verified(state, now)
            case Change(after, _):
                state = after
            case Wait(until, _):
                now = until
    return said


def describe(step: Step) -> str:
    """Returns a sentence about a step."""
    match step:
        case MakeRoot(number):
            return f"make root {number}"
        case MakeIntermediate(number, root):
            return f"make intermediate {number}, signed by root {root}"
        case Reissue(names, issuer):
            return f"issue {', '.join(names)} by intermediate {issuer}"
        case Verify(issuer, serials):
            presented = " and presents its new certificate" if serials else ""
            return f"verify that every peer accepts intermediate {issuer}{presented}"
        case Change(_, said):
            return said
        case Wait(until, why):
            return f"wait until {until:%Y-%m-%d %H:%M:%S} UTC: {why}"


def _prepare(state: State, rotation: Rotation, now: datetime) -> Step:
    if rotation.kind == Kind.ROOT and rotation.new_root is None:
        return MakeRoot(next_number(state.roots))
    if rotation.new_issuer is None:
        root = rotation.new_root or rotation.old_root
        return MakeIntermediate(next_number(state.intermediates), root)
    return Change(_advanced(state, now), "go on with what was made")


def _trust(state: State, rotation: Rotation, now: datetime) -> Step:
    assert rotation.new_root is not None
    trust = (*state.trust, rotation.new_root)
    both = changed(state, trust=trust)
    return Change(_advanced(both, now), f"trust root {rotation.new_root} beside the old one")


def _verify_trust(state: State, rotation: Rotation, now: datetime) -> Step:
    assert rotation.new_issuer is not None
    return Verify(client_issuer=rotation.new_issuer)


def _issue(state: State, rotation: Rotation, now: datetime) -> Step:
    left = [
        name
        for name, before in rotation.previous.items()
        if name in state.certificates and state.certificates[name].current == before
    ]
    if left:
        return Reissue(tuple(left[:_REISSUED_AT_ONCE]), state.issuer)
    return Change(_advanced(state, now), "go on with every certificate issued")


def _verify_serials(state: State, rotation: Rotation, now: datetime) -> Step:
    serials = frozenset(entry.newest.serial for entry in state.certificates.values())
    return Verify(client_issuer=state.issuer, serials=serials)


def _wait(state: State, rotation: Rotation, now: datetime) -> Step:
    assert rotation.wait_until is not None, "a wait ends at the time that it began with"
    if now < rotation.wait_until:
        return Wait(rotation.wait_until, _WAITING[rotation.phase])
    return Change(_advanced(state, now), f"end the phase {rotation.phase}")


def _drop(state: State, rotation: Rotation, now: datetime) -> Step:
    after = changed(_with_current_generations(state), rotation=None)
    if rotation.kind == Kind.LEAF:
        return Change(after, "drop the old certificates")
    if rotation.kind == Kind.INTERMEDIATE:
        kept = {n: e for n, e in after.intermediates.items() if n != rotation.old_issuer}
        return Change(
            changed(after, intermediates=kept), f"drop intermediate {rotation.old_issuer}"
        )
    after = _without_root(after, rotation.old_root)
    return Change(after, f"drop root {rotation.old_root} and all that it signed")


def _restore(state: State, rotation: Rotation, now: datetime) -> Step:
    again: dict[str, Certificate] = {}
    lost: list[str] = []
    for name in holders_of(state):
        certificate, before = state.certificates[name], rotation.previous.get(name)
        if before is not None and _usable(state, certificate.generations.get(before), now):
            if certificate.current != before:
                again[name] = changed(certificate, current=before)
        elif rotation.kind != Kind.LEAF and certificate.newest.issuer != rotation.old_issuer:
            # What was in use has expired or was revoked, or the holder is new.
            lost.append(name)
    if again:
        said = f"put the old certificates of {', '.join(again)} in use again"
        return Change(state.with_certificates(again), said)
    if lost:
        return Reissue(tuple(lost[:_REISSUED_AT_ONCE]), rotation.old_issuer)
    return Change(_advanced(state, now), "go on with every certificate restored")


def _discard(state: State, rotation: Rotation, now: datetime) -> Step:
    after = changed(_with_current_generations(state), rotation=None)
    kept = {n: e for n, e in after.intermediates.items() if n != rotation.new_issuer}
    after = changed(after, intermediates=kept)
    return Change(_without_root(after, rotation.new_root), "discard what the rotation made")


_STEPS = {
    Phase.PREPARE: _prepare,
    Phase.TRUST: _trust,
    Phase.VERIFY_TRUST: _verify_trust,
    Phase.SPREAD: _wait,
    Phase.ISSUE: _issue,
    Phase.VERIFY_ISSUED: _verify_serials,
    Phase.OVERLAP: _wait,
    Phase.DROP: _drop,
    Phase.RESTORE: _restore,
    Phase.VERIFY_RESTORED: _verify_serials,
    Phase.LINGER: _wait,
    Phase.DISCARD: _discard,
}


def _advanced(state: State, now: datetime) -> State:
    rotation = under_way(state)
    order = phases(rotation)
    rotation = changed(rotation, phase=order[order.index(rotation.phase) + 1])
    if rotation.phase == Phase.ISSUE and rotation.new_issuer is not None:
        rotation = changed(rotation, previous=_in_use(state, holders_of(state)))
        state = changed(state, issuer=rotation.new_issuer)
    waits = timedelta(seconds=rotation.overlap_seconds)
    until = now + waits if rotation.phase in _WAITING else None
    rotation = changed(rotation, wait_until=until)
    return changed(state, rotation=rotation)


def _in_use(state: State, names: Iterable[str]) -> dict[str, int]:
    return {name: state.certificates[name].current for name in names}


def _usable(state: State, generation: Generation | None, now: datetime) -> bool:
    if generation is None or generation.not_after <= now:
        return False
    return not state.is_revoked(generation.serial)


def _with_current_generations(state: State) -> State:
    return without_old_generations(state, dict.fromkeys(state.certificates, frozenset()))


def _without_root(state: State, number: int | None) -> State:
    signed = {n: e for n, e in state.intermediates.items() if e.root != number}
    return changed(
        state,
        roots={n: e for n, e in state.roots.items() if n != number},
        intermediates=signed,
        trust=tuple(root for root in state.trust if root != number),
    )
