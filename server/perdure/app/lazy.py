"""Command groups that import a command when it is used, so that the others start at once."""

import importlib
from importlib.metadata import EntryPoint, entry_points

import click

PLUGINS = "perdure.commands"
"""Entry-point group by which other packages join the CLI: a name and a click command."""


class LazyGroup(click.Group):
    """A group whose commands are `module:attribute` references, by name."""

    references: dict[str, str]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands' names, in order."""
        return sorted({*super().list_commands(ctx), *self.references})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command; None when there is none of that name."""
        reference = self.references.get(cmd_name)
        if reference is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = reference.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), reference
        return command


def lazy_group(name: str, help_text: str, references: dict[str, str]) -> LazyGroup:
    """Returns a group of commands that are imported when they are used."""
    group = LazyGroup(name, help=help_text)
    group.references = references
    return group


def plugin_references() -> dict[str, str]:
    """Returns the commands of installed packages that join the CLI."""
    found: tuple[EntryPoint, ...] = tuple(entry_points(group=PLUGINS))
    return {point.name: point.value for point in found}
