"""`./dev test`: installs what the tests need, then runs pytest.

First what keeps the whole machine busy (the marker `alone`), then the others, several at once. The
tests of a file stay in one process: they share what is dear to start.
"""

import os
import sys

import click

from workbench import packages
from workbench.paths import ROOT
from workbench.tools import become, call

PYTEST = (sys.executable, "-m", "pytest")
FEWEST_AT_ONCE, MOST_AT_ONCE = 2, 4


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--all", "everything", is_flag=True, help="The slow tests too.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(everything: bool, arguments: tuple[str, ...]) -> None:
    """Run the tests, several at once; with ARGUMENTS, which go to pytest, one after the other."""
    packages.install_missing(packages.OF_TESTS, needed_by="the tests need")
    os.chdir(ROOT)
    quick = "" if everything else " and not slow"
    if arguments:
        become([*PYTEST, *(() if everything else ("-m", "not slow")), *arguments])
    processes = max(FEWEST_AT_ONCE, min(MOST_AT_ONCE, (os.cpu_count() or 1) // 2))
    together = ("--dist", "loadfile", "--numprocesses", str(processes))
    codes = (
        call([*PYTEST, "-m", f"alone{quick}"]),
        call([*PYTEST, "-m", f"not alone{quick}", *together]),
    )
    sys.exit(max(codes))
