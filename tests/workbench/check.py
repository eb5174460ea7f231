"""`./dev check`: everything that reads the source and runs none of it."""

import sys

import click

from workbench import generate, lock
from workbench.paths import ROOT
from workbench.tools import call, tool


@click.command()
def command() -> None:
    """Check format, lint, types, layers, sizes, generated files and the lock; report each."""
    failed = [name for name, passed in _results() if not passed]
    if failed:
        raise click.ClickException(f"{', '.join(failed)} failed")


def _results() -> list[tuple[str, bool]]:
    results = []
    for name, arguments in _TOOLS.items():
        click.echo(f"== {name}")
        results.append((name, call(arguments) == 0))
    click.echo("== generated files")
    stale = generate.outdated(generate.generate())
    results.append(("generated files", not stale))
    for path in stale:
        click.echo(f"{path.relative_to(ROOT)} differs: run ./dev generate")
    click.echo("== lock")
    results.append(("lock", lock.is_current()))
    if not lock.is_current():
        click.echo("requirements.lock is older than pyproject.toml: run ./dev lock")
    return results


_TOOLS = {
    "format": [tool("ruff"), "format", "--check", "--quiet", "."],
    "lint": [tool("ruff"), "check", "--quiet", "."],
    "types": [tool("mypy")],
    "layers": [tool("lint-imports"), "--no-cache"],
    "tidy": [sys.executable, "-m", "pytest", "--quiet", "tests/unit/tidy"],
}
