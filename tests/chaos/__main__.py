"""`python -m chaos`: the command line of `./dev chaos`."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from chaos import network, report
from chaos.errors import ChaosError
from chaos.results import Result
from chaos.runner import run
from chaos.scenarios import BY_NAME, SCENARIOS, Scenario
from contract.cluster import MissingPostgres

INTERRUPTED = 130
MIN_WIDTH = 160


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        for scenario in SCENARIOS:
            click.echo(f"{scenario.name:28} {scenario.title}")
        context.exit()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--scenario",
    "names",
    multiple=True,
    type=click.Choice(list(BY_NAME)),
    help="Scenario to run; may be repeated.  [default: all]",
)
@click.option("--quick", is_flag=True, help="Only the scenarios of the short form.")
@click.option("--list", is_flag=True, callback=_list, is_eager=True, expose_value=False)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--write",
    "page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Markdown page whose table of results is replaced.",
)
@click.option("--keep", is_flag=True, help="Keep logs and ledgers though all is well.")
def main(
    *, names: tuple[str, ...], quick: bool, output: str, page: Path | None, keep: bool
) -> None:
    """Inject faults into a cluster of real processes under load, and count what was lost.

    Ends with code 1 when anything was.
    """
    chosen = [BY_NAME[name] for name in dict.fromkeys(names)] or list(SCENARIOS)
    if quick:
        chosen = [scenario for scenario in chosen if scenario.quick]
    network.open_loopback()
    results = asyncio.run(_run(chosen, keep=keep))
    console = Console()
    if output == "json":
        console.print_json(data=[result.to_json() for result in results])
    else:
        report.print_table(console if console.width >= MIN_WIDTH else _wide(), results)
    if page is not None:
        report.write_markdown(page, results)
    if not all(result.passed for result in results):
        sys.exit(1)


async def _run(scenarios: Iterable[Scenario], *, keep: bool) -> list[Result]:
    console = Console(stderr=True)
    results = []
    for number, scenario in enumerate(scenarios, 1):
        began = time.monotonic()

        def say(
            sentence: str, scenario: Scenario = scenario, number: int = number, began: float = began
        ) -> None:
            passed = f"{time.monotonic() - began:5.1f} s"
            line = f"{number} {scenario.name}, {passed}: {sentence}"
            console.print(line, markup=False, highlight=False)

        result = await run(scenario, say, keep=keep)
        say("passed" if result.passed else "FAILED: " + " / ".join(result.wrong[:3]))
        results.append(result)
    return results


def _wide() -> Console:
    return Console(width=MIN_WIDTH)


def _terminate(_: int, __: FrameType | None) -> None:
    """Ends as Ctrl-C does, so that everything is removed."""
    signal.raise_signal(signal.SIGINT)


def start() -> None:
    """Runs the command, with one sentence for what goes wrong."""
    network.isolate()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main(standalone_mode=False)
    except (ChaosError, MissingPostgres) as error:
        click.echo(f"chaos: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("chaos: interrupted; nothing is left running", err=True)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    start()
