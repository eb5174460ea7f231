"""`perdure tls`: the certificates of a cluster."""

import click

from perdure.app.lazy import LazyGroup

_COMMANDS = {
    "expiring": "expiring",
    "import": "imports",
    "init": "init",
    "inspect": "inspect",
    "issue": "issue",
    "renew": "renew",
    "revoke": "revoke",
    "rotate": "rotate",
    "verify": "verify",
}


@click.group(
    "tls",
    cls=LazyGroup,
    references={name: f"perdure_tls.commands.{file}:command" for name, file in _COMMANDS.items()},
)
def command() -> None:
    """Make, rotate and verify the certificates of a cluster."""
