"""Rows as cells of a table, on the terminal and in Markdown."""

from collections.abc import Sequence

from rich.table import Table as RichTable

from bench.results import Row, Table
from bench.scenarios import BY_NAME
from bench.targets import Target

NOTHING = "–"
MAX_SPREAD = 0.15
"""Rounds that lie further apart than this are remarked upon."""

HEADINGS = (
    "scenario",
    "server",
    "per s",
    "CPU ms",
    "× floor",
    "× dev",
    "RPCs",
    "alone p50 ms",
    "alone p99 ms",
    "loaded p50 ms",
    "loaded p99 ms",
    "MiB",
    "generator",
)
LEGEND = (
    "Per s: workflows completed each second under load. CPU ms: processor time of the server for "
    "each workflow, and as a multiple of the floor's and of the dev server's. Alone: latency with "
    "one workflow in flight; loaded: with many. MiB: resident memory of the server afterwards. "
    "Generator: processor time of the load generator, in % of a core."
)
TITLES = {Target.PERDURE: "Perdure", Target.DEVSERVER: "dev server", Target.FLOOR: "floor"}


def rich_table(table: Table) -> RichTable:
    """The rows as a table for the terminal, with a rule between scenarios."""
    grid = RichTable(*HEADINGS)
    for column in grid.columns[:2]:
        column.no_wrap = True
    for column in grid.columns[2:]:
        column.justify = "right"
    scenario = ""
    for row in table.rows:
        if scenario not in {"", row.scenario}:
            grid.add_section()
        scenario = row.scenario
        grid.add_row(*cells(table, row))
    return grid


def markdown_table(table: Table) -> str:
    """The rows as a Markdown table."""
    rules = ["---" if number < 2 else "---:" for number in range(len(HEADINGS))]
    lines = [HEADINGS, rules, *(cells(table, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(table: Table, row: Row) -> Sequence[str]:
    """The cells of a row, in the order of the headings."""
    ratios = table.ratios(row)
    return (
        BY_NAME[row.scenario].title,
        TITLES[row.target],
        "void" if row.is_void else f"{row.workflows_per_s:.0f}",
        f"{row.cpu_ms:.2f}",
        _multiple(ratios.cpu_to_floor),
        _multiple(ratios.cpu_to_devserver),
        f"{row.rpcs:.1f}",
        f"{row.alone_p50_ms:.1f}",
        f"{row.alone_p99_ms:.1f}",
        f"{row.loaded_p50_ms:.1f}",
        f"{row.loaded_p99_ms:.1f}",
        f"{row.resident_mib:.0f}",
        f"{row.generator_share:.0%}",
    )


def remarks(table: Table) -> list[str]:
    """What a reader must know before trusting a row."""
    lines = []
    for row in table.rows:
        where = f"{TITLES[row.target]}, {BY_NAME[row.scenario].title}"
        if row.is_void:
            lines.append(f"{where}: the load generator was the limit, the throughput is void.")
        if row.is_noisy:
            lines.append(f"{where}: other programs used {row.noise_cores:.2f} cores meanwhile.")
        if row.cpu_spread > MAX_SPREAD:
            lines.append(f"{where}: the rounds lie {row.cpu_spread:.0%} apart in CPU.")
    return lines


def _multiple(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
