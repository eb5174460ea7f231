"""How a command ends when it cannot do what it is asked: one sentence on stderr, exit code 1."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from perdure.config.errors import ConfigError
from perdure.persistence.ports import StartupError

REFUSED_EXIT_CODE = click.ClickException.exit_code
"""The exit code of a command that was refused so."""


@contextmanager
def said_in_a_sentence() -> Iterator[None]:
    """Turns what keeps a server from starting into a message without a traceback."""
    try:
        yield
    except (ConfigError, StartupError) as error:
        raise click.ClickException(str(error)) from error
