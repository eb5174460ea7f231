"""`./dev test`: installs what the tests need, then runs pytest."""

import os
import sys

import click

from workbench import packages
from workbench.paths import ROOT
from workbench.tools import become


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--all", "everything", is_flag=True, help="The slow tests too.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(everything: bool, arguments: tuple[str, ...]) -> None:
    """Run the tests; ARGUMENTS go to pytest."""
    packages.install_missing(packages.OF_TESTS, needed_by="the tests need")
    os.chdir(ROOT)
    selection = () if everything else ("-m", "not slow")
    become([sys.executable, "-m", "pytest", *selection, *arguments])
