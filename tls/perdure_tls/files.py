"""Files that are whole or not there, one writer at a time, and keys that only their owner reads.

Rules that hold here: a file is written beside its place, synced, renamed, and the folder synced, so
that a crash leaves the old one or the new one; a private key never exists with weaker permissions
than it ends with.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perdure_tls.errors import TlsError

FOLDER_MODE = 0o700
PUBLIC_MODE = 0o444
KEY_MODE = 0o400
WEAK_BITS = 0o037
"""What nobody but the owner may do with a key, but for a group that reads it."""
_TEMPORARY_PREFIX = ".new-"


class Disk:
    """Writes. What follows a step that was interrupted is the same step again."""

    def write(self, path: Path, data: bytes, mode: int = PUBLIC_MODE) -> None:
        """Writes a file in one step; its folder is made when it is missing."""
        self.make_folder(path.parent)
        temporary = path.with_name(_TEMPORARY_PREFIX + path.name)
        self._fill(temporary, data, mode)
        self._rename(temporary, path)
        self._sync_folder(path.parent)

    def point(self, link: Path, target: str) -> None:
        """Lets a symbolic link name another entry of its folder, in one step."""
        temporary = link.with_name(_TEMPORARY_PREFIX + link.name)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        self._rename(temporary, link)
        self._sync_folder(link.parent)

    def make_folder(self, path: Path) -> None:
        """Makes a folder for its owner, and those above it."""
        if not path.is_dir():
            self.make_folder(path.parent)
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)
            self._sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        """Removes a file, or a folder with what is in it."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        self._sync_folder(path.parent)

    def _fill(self, path: Path, data: bytes, mode: int) -> None:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)

    def _rename(self, source: Path, target: Path) -> None:
        source.rename(target)

    def _sync_folder(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other commands from changing a folder; the kernel lets go when the process ends.

    Raises:
        TlsError: Another command changes it, or it cannot be written.
    """
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise TlsError(f"{folder} cannot be written: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise TlsError(
            f"Another perdure tls command changes {folder}: wait until it has ended."
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """Returns a file's contents.

    Raises:
        TlsError: It is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path} cannot be read: {error.strerror}.") from error


def permission_problem(path: Path) -> str | None:
    """Returns what is wrong with who can use a secret file, with the fix; None if nothing is."""
    mode = path.stat().st_mode & 0o777
    if not mode & WEAK_BITS:
        return None
    return f"{path} has mode {mode:04o}, so that others can use it: chmod 0400 {path}"


def read_secret(path: Path) -> bytes:
    """Returns the contents of a file that only its owner, or a group, reads.

    Raises:
        TlsError: It is missing, cannot be read, or is open to others.
    """
    data = read(path)
    problem = permission_problem(path)
    if problem:
        raise TlsError(f"{problem}.")
    return data
