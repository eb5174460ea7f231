"""Rows as cells of a table, on the terminal and in Markdown."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable

from bench.results import Ratios, Row, Table
from bench.scenarios import BY_NAME
from bench.targets import Target

NOTHING = "–"
MAX_SPREAD = 0.15
"""Rounds that lie further apart than this are remarked upon."""

TITLES = {
    Target.PERDURE: "Perdure",
    Target.DEVSERVER: "dev server",
    Target.FLOOR: "floor",
    Target.POSTGRES: "Perdure, PostgreSQL",
    Target.SPLIT: "Perdure, PostgreSQL, 4 processes",
    Target.UNMETERED: "Perdure without metrics",
}

Cell = Callable[[Row, Ratios], str]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one kind of table, and what they mean."""

    columns: tuple[tuple[str, Cell], ...]
    legend: str

    @property
    def headings(self) -> list[str]:
        """The names of the columns."""
        return [heading for heading, _ in self.columns]

    def cells(self, table: Table, row: Row) -> Sequence[str]:
        """The cells of a row, in the order of the headings."""
        ratios = table.ratios(row)
        return [cell(row, ratios) for _, cell in self.columns]


def rich_table(table: Table, layout: Layout) -> RichTable:
    """The rows as a table for the terminal, with a rule between scenarios."""
    grid = RichTable(*layout.headings)
    for column in grid.columns[:2]:
        column.no_wrap = True
    for column in grid.columns[2:]:
        column.justify = "right"
    scenario = ""
    for row in table.rows:
        if scenario not in {"", row.scenario}:
            grid.add_section()
        scenario = row.scenario
        grid.add_row(*layout.cells(table, row))
    return grid


def markdown_table(table: Table, layout: Layout) -> str:
    """The rows as a Markdown table."""
    rules = ["---" if number < 2 else "---:" for number in range(len(layout.columns))]
    lines = [layout.headings, rules, *(layout.cells(table, row) for row in table.rows)]
    return markdown_lines(lines)


def markdown_lines(lines: Iterable[Sequence[str]]) -> str:
    """Cells as the lines of a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


_FIRST: tuple[tuple[str, Cell], ...] = (
    ("scenario", lambda row, _: BY_NAME[row.scenario].title),
    ("server", lambda row, _: TITLES[row.target]),
    ("per s", lambda row, _: "void" if row.is_void else f"{row.workflows_per_s:.0f}"),
    ("CPU ms", lambda row, _: f"{row.cpu_ms:.2f}"),
)
_LAST: tuple[tuple[str, Cell], ...] = (
    ("RPCs", lambda row, _: f"{row.rpcs:.1f}"),
    ("alone p50 ms", lambda row, _: f"{row.alone_p50_ms:.1f}"),
    ("alone p99 ms", lambda row, _: f"{row.alone_p99_ms:.1f}"),
    ("loaded p50 ms", lambda row, _: f"{row.loaded_p50_ms:.1f}"),
    ("loaded p99 ms", lambda row, _: f"{row.loaded_p99_ms:.1f}"),
    ("MiB", lambda row, _: f"{row.resident_mib:.0f}"),
    ("generator", lambda row, _: f"{row.generator_share:.0%}"),
)
_LATENCY = (
    "Alone: latency with one workflow in flight; loaded: with many. MiB: resident memory of the "
    "server afterwards. Generator: processor time of the load generator, in % of a core."
)

SERVERS = Layout(
    columns=(
        *_FIRST,
        ("× floor", lambda _, ratios: _number(ratios.cpu_to_floor)),
        ("× dev", lambda _, ratios: _number(ratios.cpu_to_devserver)),
        *_LAST,
    ),
    legend=(
        "Per s: workflows completed each second under load. CPU ms: processor time of the server "
        "for each workflow, and as a multiple of the floor's and of the dev server's. " + _LATENCY
    ),
)
STORES = Layout(
    columns=(
        *_FIRST,
        ("× SQLite", lambda _, ratios: _number(ratios.cpu_to_sqlite)),
        ("× one process", lambda _, ratios: _number(ratios.cpu_to_one_process)),
        ("database CPU ms", lambda row, _: _number(row.database_cpu_ms)),
        ("commits alone", lambda row, _: _number(row.alone_commits)),
        ("±", lambda row, _: _number(row.alone_error)),
        ("commits loaded", lambda row, _: _number(row.loaded_commits)),
        *_LAST,
    ),
    legend=(
        "Per s: workflows completed each second under load. CPU ms: processor time of all of the "
        "server's processes for each workflow, and as a multiple of Perdure's on SQLite and of "
        "Perdure's on PostgreSQL in one process; that of PostgreSQL's own processes is beside it. "
        "Commits: transactions that the database counted for each workflow. " + _LATENCY
    ),
)

METRICS = Layout(
    columns=(
        *_FIRST,
        ("× without", lambda _, ratios: _number(ratios.cpu_to_unmetered)),
        *_LAST,
    ),
    legend=(
        "CPU ms: processor time of the server for each workflow, and as a multiple of that of the "
        "same server whose roles report to observers that do nothing. " + _LATENCY
    ),
)
