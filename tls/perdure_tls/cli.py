"""`perdure tls`: the certificates of a cluster."""

import click

from perdure.app.lazy import LazyGroup

_COMMANDS = ("init", "issue", "rotate", "verify", "revoke", "inspect", "expiring", "renew")


@click.group(
    "tls",
    cls=LazyGroup,
    references={name: f"perdure_tls.commands.{name}:command" for name in _COMMANDS},
)
def command() -> None:
    """Make, rotate and verify the certificates of a cluster."""
