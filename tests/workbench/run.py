"""`./dev up`, `./dev bench`, `./dev simulate`, `./dev chaos`: what only hands over to a program."""

import sys
from pathlib import Path

import click

from workbench import packages
from workbench.paths import ROOT
from workbench.tools import become, tool

_PASS_ON = {"ignore_unknown_options": True}
DATABASE = ROOT / ".perdure" / "perdure.db"


@click.command(context_settings=_PASS_ON)
@click.option("--in-memory", is_flag=True, help="Keep nothing when the server stops.")
@click.option(
    "--db",
    "database",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DATABASE,
    help="SQLite file; made when missing.  [default: .perdure/perdure.db]",
)
@click.option(
    "--observe",
    "observed",
    is_flag=True,
    help="A demo load, Prometheus with the alerts, and Alertmanager beside it.",
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def up(in_memory: bool, database: Path, observed: bool, flags: tuple[str, ...]) -> None:
    """Start Perdure with every role in one process; FLAGS are those of `server start-dev`."""
    store: list[str] = []
    if not in_memory:
        database.parent.mkdir(parents=True, exist_ok=True)
        store = ["--db-filename", str(database)]
    server = [tool("perdure"), "server", "start-dev", *store, *flags]
    if observed:
        packages.install_missing(packages.TO_OBSERVE, needed_by="--observe needs")
        become([sys.executable, "-m", "observe", *server])
    become(server)


@click.command(context_settings=_PASS_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure Perdure beside the real dev server and the floor."""
    become([sys.executable, "-m", "bench", *arguments])


@click.command(context_settings=_PASS_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run seeded simulations: --seeds N [--start S]."""
    program = "import sys; from simulation.run import main; sys.exit(main())"
    become([sys.executable, "-c", program, *arguments])


@click.command(context_settings=_PASS_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def chaos(arguments: tuple[str, ...]) -> None:
    """Inject real faults into a cluster under load, and count what was lost."""
    become([sys.executable, "-m", "chaos", *arguments])
