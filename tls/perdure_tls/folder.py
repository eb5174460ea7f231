"""The folder of an authority: where everything is, and how it changes.

    state.json                                what counts; see `state.py`
    lock                                      held by the command that changes something
    roots/<n>/{certificate,key}.pem           key.pem may live elsewhere: --root-key
    roots/<n>/crl-<m>.pem                     its revocation lists
    intermediates/<n>/{certificate,key}.pem   and crl-<m>.pem
    certificates/<name>/<n>/certificate.pem   the holder's certificate, then its intermediate's
    certificates/<name>/<n>/key.pem           none where a signing request was brought
    certificates/<name>/current               a link to the generation in use
    published/trust.pem                       the roots that all accept
    published/crl.pem                         the newest revocation lists
    published/denied.json                     serial numbers and SPIFFE ids to refuse

Rules that hold here: new material is written where the state does not look yet; then the state is
replaced, which is the moment of change; then links and published files are made to follow it, and
what the state does not name is removed. Whatever is interrupted, the next command that holds the
lock brings the folder in line with the state.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from pydantic import ValidationError

from perdure_tls import building, files, keys
from perdure_tls.building import Issuer
from perdure_tls.errors import TlsError
from perdure_tls.files import KEY_MODE, Disk
from perdure_tls.keys import PrivateKey
from perdure_tls.state import VERSION, Certificate, State, pruned

Now = Callable[[], datetime]

_KNOWN = frozenset({"state.json", "lock", "roots", "intermediates", "certificates", "published"})


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where keys of authorities are when they are not in the folder, and what opens them."""

    root_key: Path | None = None
    root_passphrase: bytes | None = None
    passphrase: bytes | None = None


@dataclass(slots=True)
class Folder:
    """An authority's folder. Only who opened it for changes calls `commit`."""

    path: Path
    now: Now
    disk: Disk = field(default_factory=Disk)
    secrets: Secrets = field(default_factory=Secrets)

    @property
    def state_path(self) -> Path:
        """The file that says what counts."""
        return self.path / "state.json"

    @property
    def trust_path(self) -> Path:
        """The bundle of roots."""
        return self.path / "published" / "trust.pem"

    @property
    def lists_path(self) -> Path:
        """The revocation lists."""
        return self.path / "published" / "crl.pem"

    @property
    def denied_path(self) -> Path:
        """The deny list."""
        return self.path / "published" / "denied.json"

    def root(self, number: int) -> Path:
        """Returns a root's folder."""
        return self.path / "roots" / str(number)

    def intermediate(self, number: int) -> Path:
        """Returns an intermediate's folder."""
        return self.path / "intermediates" / str(number)

    def holder(self, name: str) -> Path:
        """Returns the folder of a certificate's generations."""
        return self.path / "certificates" / name

    def generation(self, name: str, number: int) -> Path:
        """Returns the folder of one certificate."""
        return self.holder(name) / str(number)

    def state(self) -> State:
        """Reads what counts.

        Raises:
            TlsError: There is no authority here, or its state was damaged.
        """
        if not self.state_path.exists():
            raise TlsError(f"{self.path} holds no authority: make one with perdure tls init.")
        try:
            plain = json.loads(files.read(self.state_path))
            # First of all, since another version may have any form.
            if isinstance(plain, dict) and plain.get("version", VERSION) != VERSION:
                raise TlsError(f"{self.state_path} is of another release: use that one.")
            return State.model_validate(plain)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise TlsError(f"{self.state_path} is damaged: {where}: {first['msg']}.") from error
        except ValueError as error:
            raise TlsError(f"{self.state_path} is damaged: {error}.") from error

    def commit(self, state: State) -> State:
        """Makes a state count, and everything else follow it."""
        state = pruned(state, self.now())
        text = state.model_dump_json(by_alias=True, indent=2, exclude_none=True) + "\n"
        self.disk.write(self.state_path, text.encode(), 0o644)
        self.publish(state)
        return state

    def publish(self, state: State) -> None:
        """Brings links and published files in line with a state, and removes what it lacks."""
        for path, data in self.published(state).items():
            if not path.exists() or path.read_bytes() != data:
                self.disk.write(path, data)
        for name, certificate in state.certificates.items():
            link, target = self.holder(name) / "current", str(certificate.current)
            if not link.is_symlink() or str(link.readlink()) != target:
                self.disk.point(link, target)
        for path in self.leftovers(state):
            self.disk.remove(path)

    def published(self, state: State) -> dict[Path, bytes]:
        """Returns the contents of the published files."""
        trusted = building.pem(*(self.certificate(self.root(number)) for number in state.trust))
        lists = [
            self.root(number) / f"crl-{state.roots[number].crl}.pem"
            for number in state.trust
            if state.roots[number].crl
        ]
        lists += [
            self.intermediate(number) / f"crl-{entry.crl}.pem"
            for number, entry in state.intermediates.items()
            if entry.root in state.trust
        ]
        denied = {
            "serials": sorted(entry.serial for entry in state.revoked),
            "spiffeIds": sorted(state.denied_spiffe_ids),
        }
        return {
            self.trust_path: trusted,
            self.lists_path: b"".join(files.read(path) for path in lists),
            self.denied_path: (json.dumps(denied, indent=2) + "\n").encode(),
        }

    def leftovers(self, state: State) -> list[Path]:
        """Returns what this program wrote and the state does not name; others' files stay."""
        left = [*self.path.glob(".new-*"), *self.path.glob("published/.new-*")]
        for numbers, place in ((state.roots, self.root), (state.intermediates, self.intermediate)):
            for path in place(1).parent.glob("*"):
                entry = numbers.get(int(path.name)) if path.name.isdigit() else None
                if entry is not None:
                    kept = path / f"crl-{entry.crl}.pem"
                    left += [found for found in path.glob("crl-*.pem") if found != kept]
                    left += path.glob(".new-*")
                elif path.name.isdigit():
                    left.append(path)
        for holder in self.path.glob("certificates/*"):
            left += self._leftovers_of(holder, state.certificates.get(holder.name))
        return left

    def _leftovers_of(self, holder: Path, certificate: Certificate | None) -> list[Path]:
        entries = list(holder.iterdir()) if holder.is_dir() else []
        written = [
            path
            for path in entries
            if path.name.isdigit() or path.name == "current" or path.name.startswith(".new-")
        ]
        if certificate is None:
            return [holder] if holder.is_dir() and written == entries else written
        named = {"current", *(str(number) for number in certificate.generations)}
        return [path for path in written if path.name not in named]

    def chain(self, number: int) -> list[x509.Certificate]:
        """Returns an intermediate, and what is between it and its root.

        Raises:
            TlsError: It is missing or damaged.
        """
        return read_bundle(self.intermediate(number) / "certificate.pem")

    def certificate(self, folder: Path) -> x509.Certificate:
        """Returns the first certificate in a folder.

        Raises:
            TlsError: It is missing or damaged.
        """
        return read_bundle(folder / "certificate.pem")[0]

    def root_issuer(self, number: int) -> Issuer:
        """Returns a root with its key.

        Raises:
            TlsError: The key is away, cannot be read, or is another's.
        """
        path = self.root(number) / "key.pem"
        if not path.exists():
            if self.secrets.root_key is None:
                raise TlsError(f"The key of root {number} is away: say where with --root-key.")
            path = self.secrets.root_key
        return self._issuer(self.root(number), keys.read(path, self.secrets.root_passphrase), path)

    def intermediate_issuer(self, number: int) -> Issuer:
        """Returns an intermediate with its key.

        Raises:
            TlsError: There is none, or its key cannot be read or is another's.
        """
        if not number:
            raise TlsError(f"{self.path} signs nothing itself: its certificates are imported.")
        folder = self.intermediate(number)
        path = folder / "key.pem"
        return self._issuer(folder, keys.read(path, self.secrets.passphrase), path)

    def _issuer(self, folder: Path, key: PrivateKey, path: Path) -> Issuer:
        certificate = self.certificate(folder)
        if not keys.same(certificate.public_key(), key.public_key()):
            raise TlsError(f"{path} is not the key of {folder / 'certificate.pem'}.")
        return Issuer(certificate, key)

    def write_key(self, folder: Path, key: PrivateKey, passphrase: bytes | None = None) -> None:
        """Writes a key that only its owner reads."""
        self.disk.write(folder / "key.pem", keys.to_pem(key, passphrase), KEY_MODE)

    def check_unused(self) -> None:
        """Checks that an authority can be made here.

        Raises:
            TlsError: There is one, or other files.
        """
        if self.state_path.exists():
            raise TlsError(f"{self.path} holds an authority already.")
        strangers = sorted(
            entry.name
            for entry in self.path.iterdir()
            if entry.name not in _KNOWN and not entry.name.startswith(".new-")
        )
        if strangers:
            raise TlsError(f"{self.path} is not empty ({strangers[0]}): name a folder of its own.")


def read_bundle(path: Path) -> list[x509.Certificate]:
    """Reads the certificates of a PEM file, of which there is at least one.

    Raises:
        TlsError: It is missing, or holds none.
    """
    try:
        return x509.load_pem_x509_certificates(files.read(path))
    except ValueError as error:
        raise TlsError(f"{path} holds no certificate in PEM.") from error


@contextmanager
def changing(folder: Folder) -> Iterator[State]:
    """Locks a folder, brings it in line with its state, and gives the state.

    Raises:
        TlsError: There is no authority, or another command changes it.
    """
    folder.state()
    with files.locked(folder.path):
        state = folder.state()
        folder.publish(state)
        yield state
