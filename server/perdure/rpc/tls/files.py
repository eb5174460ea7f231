"""Reads files that certificates, keys and lists are in, and says what is wrong with one."""

import errno
import os
import stat

MOST_BYTES = 1 << 20
_OTHERS = 0o037
"""What nobody may do with a key but its owner, and read it its group."""


class BrokenFileError(Exception):
    """A file that cannot be used as it is.

    Attributes:
        source: The file's path, or the key of the configuration that holds it.
        reason: What is wrong with it and what to do: `source` and this are a sentence.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source} {reason}")
        self.source = source
        self.reason = reason


class BrokenFilesError(Exception):
    """Files that cannot be used as they are; at least one."""

    def __init__(self, problems: tuple[BrokenFileError, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


Stamp = tuple[int, ...]


def stamp(path: str) -> Stamp:
    """Returns what differs when a file was changed, replaced or reached in another way."""
    try:
        found = os.stat(path)  # noqa: PTH116 a loop of links is an error of pathlib's own
    except OSError as error:
        return (error.errno or 0,)
    return (
        *(found.st_dev, found.st_ino, found.st_size, found.st_mode),
        *(found.st_mtime_ns, found.st_ctime_ns),
    )


def read(path: str, *, secret: bool = False) -> bytes:
    """Returns a file's contents.

    Args:
        path: The file.
        secret: Whether it must be out of others' reach.

    Raises:
        BrokenFileError: It cannot be read, or others could read it too.
    """
    try:
        # A pipe would else wait for somebody to write to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise BrokenFileError(path, _reason(error)) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BrokenFileError(path, "is not a file: name the file itself")
        if secret and found.st_mode & _OTHERS:
            mode = stat.S_IMODE(found.st_mode)
            raise BrokenFileError(
                path,
                f"has the mode {mode:04o}, so that others than its owner may use the key: chmod"
                " 0400 it (in Kubernetes, defaultMode: 0440), and issue a new key if somebody"
                " could have read it",
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BrokenFileError(path, _reason(error)) from None
    finally:
        os.close(descriptor)
    if not data:
        raise BrokenFileError(path, "is empty: write it whole beside its place, then rename it")
    if len(data) > MOST_BYTES:
        raise BrokenFileError(path, "is larger than 1 MiB, which no such file is: name another")
    return data


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "does not exist: put it there, or correct the path"
        case errno.ELOOP:
            return "is a loop of symbolic links: have it lead to a file"
        case errno.EACCES:
            return "cannot be read by the user that the server runs as: chown it"
        case errno.ENOTDIR:
            return "is below a file, not a folder: correct the path"
        case _:
            return f"cannot be read: {error.strerror or error}"
