"""Performs rotations: takes steps from `rotation.py`, does each, and stores what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from perdure_tls import authority, keys, rotation
from perdure_tls.errors import TlsError, Waiting
from perdure_tls.folder import Folder
from perdure_tls.issuing import reissue
from perdure_tls.rotation import Change, MakeIntermediate, MakeRoot, Reissue, Step, Verify, Wait
from perdure_tls.state import Kind, State

OVERLAP = timedelta(hours=24)
"""How long clients have to get a new root or certificate, unless it is said."""


@dataclass(frozen=True, slots=True)
class Performer:
    """Does what steps say. `verify` returns what is wrong with peers, nothing when all is well."""

    folder: Folder
    verify: Callable[[State, Verify], list[str]]

    def run(self, state: State, say: Callable[[str], None]) -> State:
        """Takes steps until the rotation has ended.

        Raises:
            Waiting: Peers are not ready, or clients have time left; what was done is stored.
            TlsError: A step cannot be performed; it is tried again by the next run.
        """
        while (step := rotation.step(state, self.folder.now())) is not None:
            state = self.folder.commit(self._after(state, step))
            say(rotation.describe(step))
        return state

    def _after(self, state: State, step: Step) -> State:
        match step:
            case MakeRoot(number):
                return self._with_root(state, number)
            case MakeIntermediate():
                return self._with_intermediate(state, step)
            case Reissue(names, issuer):
                return reissue(self.folder, state, names, issuer)
            case Verify():
                problems = self.verify(state, step)
                if problems:
                    raise Waiting("; ".join(problems))
                return rotation.verified(state, self.folder.now())
            case Change(after, _):
                return after
            case Wait():
                raise Waiting(rotation.describe(step))

    def _with_root(self, state: State, number: int) -> State:
        folder = self.folder
        old = folder.root(rotation.under_way(state).old_root)
        _check_sealed(old, folder.secrets.root_passphrase, "--root-passphrase-file")
        root = authority.make_root(
            folder,
            number,
            trust_domain=state.trust_domain,
            lifetime=_lifetime(state, Kind.ROOT, authority.ROOT_LIFETIME),
            key_type=keys.type_of(folder.certificate(old).public_key()),
        )
        return rotation.with_root(state, number, root)

    def _with_intermediate(self, state: State, step: MakeIntermediate) -> State:
        folder = self.folder
        old = folder.intermediate(rotation.under_way(state).old_issuer)
        _check_sealed(old, folder.secrets.passphrase, "--passphrase-file")
        made = authority.make_intermediate(
            folder,
            step.number,
            step.root,
            issuer=folder.root_issuer(step.root),
            trust_domain=state.trust_domain,
            lifetime=_lifetime(state, Kind.INTERMEDIATE, authority.INTERMEDIATE_LIFETIME),
            key_type=keys.type_of(folder.certificate(old).public_key()),
        )
        return rotation.with_intermediate(state, step.number, made)


def _lifetime(state: State, kind: Kind, usual: timedelta) -> timedelta:
    """Returns how long an authority lasts: what was said of the kind that is rotated."""
    under_way = rotation.under_way(state)
    if under_way.kind != kind or under_way.lifetime_seconds is None:
        return usual
    return timedelta(seconds=under_way.lifetime_seconds)


def _check_sealed(old: Path, passphrase: bytes | None, option: str) -> None:
    """Checks that the key that follows an encrypted one will be encrypted too.

    Raises:
        TlsError: There is no passphrase for it.
    """
    if passphrase is None and keys.is_encrypted(old / "key.pem"):
        raise TlsError(f"The key in {old} is encrypted: give {option} for the new one too.")
