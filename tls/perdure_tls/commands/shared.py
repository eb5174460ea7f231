"""What the commands have in common: options, the folder they open, and how they end.

Exit codes: 0 done; 1 refused or failed, with a sentence; 2 used wrongly; 3 and 4 where a command
says what they mean.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from perdure_tls import keys
from perdure_tls.errors import TlsError
from perdure_tls.folder import Folder, Secrets

WAITING_EXIT_CODE = 3
"""A rotation stands still until something outside of it is so."""

Command = Callable[..., None]


class Member(click.Choice[str]):
    """A choice by the values of an enumeration, which is what operators write; gives a member."""

    def __init__(self, members: type[StrEnum]) -> None:
        super().__init__([member.value for member in members])
        self._members = members

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> StrEnum:
        """Reads a value."""
        if isinstance(value, self._members):
            return value  # a default
        return self._members(super().convert(value, param, ctx))


def with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Adds options that belong together, in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def of_folder(command: Command) -> Command:
    """Adds the option that says which authority."""
    return click.option(
        "-d",
        "--directory",
        "directory",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("perdure-tls"),
        show_default=True,
        envvar="PERDURE_TLS_DIRECTORY",
        help="The authority's folder.",
    )(command)


def printed(command: Command) -> Command:
    """Adds the option that says how the answer is printed."""
    return click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
    )(command)


def with_passphrase(command: Command) -> Command:
    """Adds the option that opens an encrypted intermediate."""
    return click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="PERDURE_TLS_PASSPHRASE_FILE",
        help="A file with the passphrase of the intermediate's key.",
    )(command)


def with_root_passphrase(command: Command) -> Command:
    """Adds the option that opens an encrypted root."""
    return click.option(
        "--root-passphrase-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="PERDURE_TLS_ROOT_PASSPHRASE_FILE",
        help="A file with the passphrase of the root's key.",
    )(command)


def opened(
    directory: Path,
    *,
    passphrase_file: Path | None = None,
    root_key: Path | None = None,
    root_passphrase_file: Path | None = None,
) -> Folder:
    """Returns an authority's folder, with what opens its keys.

    Raises:
        TlsError: A passphrase cannot be read.
    """
    secrets = Secrets(
        root_key=root_key,
        root_passphrase=keys.read_passphrase(root_passphrase_file),
        passphrase=keys.read_passphrase(passphrase_file),
    )
    return Folder(directory, now=now, secrets=secrets)


def now() -> datetime:
    """Returns the time, in whole seconds as certificates have it."""
    return datetime.now(UTC).replace(microsecond=0)


@contextmanager
def said_in_a_sentence() -> Iterator[None]:
    """Turns refusals, and what the operating system refuses, into a message and exit code 1."""
    try:
        yield
    except TlsError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror}.") from error
