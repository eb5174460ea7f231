"""How other packages join the command line."""

from importlib.metadata import EntryPoint

import click
import pytest
from click.testing import CliRunner

from perdure.app import lazy


@click.command()
def hello() -> None:
    """Say hello."""
    click.echo("hello")


def test_a_command_is_imported_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="hello", value=f"{__name__}:hello", group=lazy.PLUGINS)
    monkeypatch.setattr(lazy, "entry_points", lambda group: (point,))
    group = lazy.LazyGroup("main", references=lazy.plugin_references())
    assert CliRunner().invoke(group, ["hello"]).output == "hello\n"
    assert "Say hello." in CliRunner().invoke(group, ["--help"]).output


def test_an_unknown_command_is_an_error() -> None:
    group = lazy.LazyGroup("main", references={})
    result = CliRunner().invoke(group, ["nothing"])
    assert result.exit_code != 0
    assert "No such command" in result.output
