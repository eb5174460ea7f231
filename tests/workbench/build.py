"""`./dev build`: the wheel and the source distribution, in dist/."""

import sys

import click

from workbench.paths import ROOT
from workbench.tools import call


@click.command()
def command() -> None:
    """Build the wheel and the source distribution into dist/."""
    code = call([sys.executable, "-m", "hatchling", "build", "--directory", str(ROOT / "dist")])
    raise SystemExit(code)
