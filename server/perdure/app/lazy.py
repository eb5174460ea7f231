"""Command groups that import a command when it is used, so that the others start at once."""

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

PLUGINS = "perdure.commands"
"""Entry-point group by which other packages join the CLI: a name and a click command."""


class LazyGroup(click.Group):
    """A group whose commands are `module:attribute` references, by name."""

    def __init__(self, *args: Any, references: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._references = references

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands' names, in order."""
        return sorted({*super().list_commands(ctx), *self._references})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command; None when there is none of that name."""
        reference = self._references.get(cmd_name)
        if reference is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = reference.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), reference
        return command


def plugin_references() -> dict[str, str]:
    """Returns the commands of installed packages that join the CLI."""
    found: tuple[EntryPoint, ...] = tuple(entry_points(group=PLUGINS))
    return {point.name: point.value for point in found}
