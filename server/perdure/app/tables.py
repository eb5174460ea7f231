"""Tables on a terminal, and plain values as JSON for machines.

Rules that hold here: nothing that is stored is taken for markup; what goes to a file or a pipe is
as wide as it needs to be.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED_WIDTH = 100_000
"""Columns where there is no terminal whose width would count."""

Row = Sequence[object]


def print_json(value: object) -> None:
    """Prints a plain value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Row], *, title: str = "") -> None:
    """Prints rows below their columns' names; numbers to the right."""
    rows = [list(row) for row in rows]
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=Text(title, style="bold") if title else None,
        title_justify="left",
    )
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    _console().print(table)


def print_fields(fields: Mapping[str, Any], *, title: str = "") -> None:
    """Prints names and values, one pair per line; those that are empty are left out."""
    table = Table(
        box=None,
        pad_edge=False,
        show_header=False,
        title=Text(title, style="bold") if title else None,
        title_justify="left",
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            table.add_row(Text(name.replace("_", " ")), _cell(value))
    _console().print(table)
    _console().print()


def _cell(value: object) -> Text:
    if isinstance(value, dict | list):
        return Text(json.dumps(value, ensure_ascii=False))
    return Text("" if value is None else str(value))


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(width=_UNBOUNDED_WIDTH, no_color=True)
