"""`python -m bench`: the command line of the benchmark."""

import contextlib
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from bench import backlog, machine, profiler, schedules, visibility
from bench.comparisons import METRICS, SERVERS, STORES, Comparison
from bench.errors import BenchError
from bench.gates import judge
from bench.progress import observing
from bench.report import Report, write_markdown
from bench.results import tabulate
from bench.runner import Plan, profile_path, run
from bench.scenarios import BY_NAME
from bench.targets import Target

QUICK_ROUNDS = 1
HOT_FUNCTIONS = 25
BACKLOG_SECTION = "bench backlog"
VISIBILITY_SECTION = "bench visibility"
SCHEDULES_SECTION = "bench schedules"
MIN_WIDTH = 150
INTERRUPTED = 130


def _targets(_: click.Context, __: click.Parameter, value: str | None) -> tuple[Target, ...] | None:
    if value is None:
        return None
    try:
        return tuple(dict.fromkeys(Target(word.strip()) for word in value.split(",")))
    except ValueError as error:
        msg = f"{error}; known are {', '.join(Target)}"
        raise click.BadParameter(msg) from error


@click.command()
@click.option(
    "--store",
    type=click.Choice(["postgres"]),
    help="Compare Perdure with itself: on SQLite, on PostgreSQL, on PostgreSQL in four processes.",
)
@click.option(
    "--metrics", "is_metrics", is_flag=True, help="Compare Perdure with itself without metrics."
)
@click.option("--backlog", "is_backlog", is_flag=True, help="Measure a big backlog instead.")
@click.option(
    "--visibility",
    "is_visibility",
    is_flag=True,
    help="Measure listings and counts of many closed workflows instead.",
)
@click.option(
    "--schedules",
    "is_schedules",
    is_flag=True,
    help="Measure idle schedules instead.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=backlog.MIN_ROWS),
    help=f"Tasks of the backlog, or closed workflows.  [default: {backlog.ROWS}]; or schedules."
    f"  [default: {schedules.ROWS}]",
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=click.Choice(list(BY_NAME)),
    help="Scenario to run; may be repeated.  [default: all; with --store: "
    f"{', '.join(STORES.scenarios)}]",
)
@click.option(
    "--targets",
    callback=_targets,
    help="Servers to measure, in the order of each round.  [default: "
    f"{','.join(SERVERS.targets)}; with --store: {','.join(STORES.targets)}]",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    help=f"Rounds of every scenario.  [default: {SERVERS.rounds}, {METRICS.rounds} with --metrics, "
    f"or {QUICK_ROUNDS} with --quick]",
)
@click.option(
    "--in-flight",
    type=click.IntRange(min=1),
    help=f"Workflows in flight when loaded.  [default: {SERVERS.in_flight}; "
    f"with --store: {STORES.in_flight}]",
)
@click.option("--quick", is_flag=True, help="A tenth of the workflows, one round: a look only.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--write",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Markdown page whose benchmark section is replaced.",
)
@click.option("--gate", is_flag=True, help="End with code 1 if a gate is broken.")
@click.option(
    "--profile",
    "profiles",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for py-spy profiles of Perdure; the numbers are not comparable then.",
)
def main(
    *,
    store: str | None,
    is_metrics: bool,
    is_backlog: bool,
    is_visibility: bool,
    is_schedules: bool,
    rows: int | None,
    scenarios: tuple[str, ...],
    targets: tuple[Target, ...] | None,
    rounds: int | None,
    in_flight: int | None,
    quick: bool,
    output: str,
    page: Path | None,
    gate: bool,
    profiles: Path | None,
) -> None:
    """Measure Perdure beside the real dev server and beside a server that does nothing."""
    if gate and profiles is not None:
        msg = "--gate and --profile exclude each other: a profiler slows what it watches"
        raise click.UsageError(msg)
    few = schedules.QUICK_ROWS if quick else schedules.ROWS
    for is_asked, measure, section in (
        (is_backlog, partial(backlog.run, rows or backlog.ROWS), BACKLOG_SECTION),
        (
            is_visibility,
            partial(visibility.run, max(rows or visibility.ROWS, visibility.MIN_ROWS)),
            VISIBILITY_SECTION,
        ),
        (is_schedules, partial(schedules.run, rows or few, is_quick=quick), SCHEDULES_SECTION),
    ):
        if is_asked:
            _measure_rows(measure, section, output=output, page=page, gate=gate)
            return
    comparison = METRICS if is_metrics else SERVERS if store is None else STORES
    targets = targets or comparison.targets
    if gate and set(targets) != set(comparison.targets):
        msg = "--gate compares all servers of a run: leave --targets out"
        raise click.UsageError(msg)
    names = scenarios or comparison.scenarios
    chosen = [BY_NAME[name] for name in dict.fromkeys(names)]
    plan = Plan(
        scenarios=[scenario.quick() for scenario in chosen] if quick else chosen,
        targets=targets,
        rounds=rounds or (QUICK_ROUNDS if quick else comparison.rounds),
        in_flight=in_flight or comparison.in_flight,
        profiles=profiles,
    )
    report = _run(plan, comparison, is_quick=quick)
    console = Console()
    if output == "json":
        console.print_json(data=report.to_json())
    else:
        report.print(console if console.width >= MIN_WIDTH else Console(width=MIN_WIDTH))
        _print_profiles(plan, console)
    if page is not None:
        write_markdown(page, report.to_markdown(), section=comparison.section)
    if gate and not all(verdict.passed for verdict in report.verdicts):
        sys.exit(1)


RowsReport = backlog.BacklogReport | schedules.SchedulesReport | visibility.VisibilityReport


def _measure_rows(
    measure: Callable[[Callable[[str], None]], RowsReport],
    section: str,
    *,
    output: str,
    page: Path | None,
    gate: bool,
) -> None:
    said = Console(stderr=True)
    here = machine.describe(with_devserver=False, with_postgres=True).sentence()
    report = measure(lambda line: said.print(line, highlight=False))
    console = Console()
    text = f"{here}. {report.to_markdown()}"
    if output == "json":
        console.print_json(data=report.to_json())
    else:
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    if page is not None:
        write_markdown(page, text, section=section)
    if gate and not all(check.passed for check in report.checks()):
        sys.exit(1)


def _run(plan: Plan, comparison: Comparison, *, is_quick: bool) -> Report:
    here = machine.describe(
        with_devserver=Target.DEVSERVER in plan.targets,
        with_postgres=any(target.needs_database for target in plan.targets),
    )
    if plan.profiles is not None:
        profiler.find_py_spy()
    with observing(Console(stderr=True), len(list(plan.steps()))) as observer:
        table = tabulate(run(plan, observer))
    names = [scenario.name for scenario in plan.scenarios]
    is_whole = set(plan.targets) == set(comparison.targets)
    return Report(
        layout=comparison.layout,
        table=table,
        verdicts=judge(table, names, comparison.gates) if is_whole else (),
        machine=here,
        rounds=plan.rounds,
        in_flight=plan.in_flight,
        is_quick=is_quick,
        is_profiled=plan.profiles is not None,
    )


def _print_profiles(plan: Plan, console: Console) -> None:
    if plan.profiles is None:
        return
    for step in plan.steps():
        pattern = profile_path(plan.profiles, step, "*").name
        for path in sorted(plan.profiles.glob(pattern)):
            _print_profile(path, console)


def _print_profile(path: Path, console: Console) -> None:
    console.print(f"\n{path}: own share, share with callees, function", highlight=False)
    for hot in profiler.hottest(path.read_text(encoding="utf-8"), HOT_FUNCTIONS):
        line = f"{hot.own_share:6.1%} {hot.total_share:6.1%}  {hot.function}"
        console.print(line, highlight=False, markup=False)


def _terminate(_: int, __: FrameType | None) -> None:
    """End as Ctrl-C does, so that every child is stopped."""
    raise KeyboardInterrupt


def start() -> None:
    """Run the command, with one sentence for what goes wrong."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main(standalone_mode=False)
    except BenchError as error:
        with contextlib.suppress(BrokenPipeError):
            click.echo(f"bench: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("bench: interrupted; nothing is left running", err=True)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    start()
