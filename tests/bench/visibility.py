"""`bench --visibility`: what listings and counts cost among a million closed workflows.

Both stores are loaded with the same runs, through their own `commit`, and asked the same questions:
every `Shape` of a query at every selectivity. A question goes from its text to the rows of its
first page, as in the frontend; there is no RPC. Runs are closed in about the order in which they
started; what queries look for is spread evenly over them, or lies at one end where a shape says so.
"""

import asyncio
import contextlib
import math
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg

from bench.backlog import Check
from bench.database import running_database
from bench.errors import BenchError
from bench.stats import percentile
from bench.tables import markdown_lines
from bench.visibility_rows import ATTRIBUTES, NAMESPACE_ID, Spread, runs
from perdure.core.commit import Commit, VisibilityRow
from perdure.core.visibility.parser import parse_query
from perdure.core.visibility.query import VisibilityFilter
from perdure.persistence.ports import Result, Store, VisibilityCursor
from perdure.persistence.postgres.store import PostgresStore
from perdure.persistence.sqlite.store import SqliteStore
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

ROWS: Final = 1_000_000
MIN_ROWS: Final = 10_000
AT_ONCE: Final = 5_000
PAGE: Final = 100
REPEATS: Final = 15
SELECTIVITIES: Final = (1e-6, 1e-3, 0.1, 0.9)
STORES: Final = ("SQLite", "PostgreSQL")

MAX_LIST_MS: Final = 100.0
MAX_SYSTEM_COUNT_MS: Final = 100.0
MAX_COUNT_MS: Final = 1_000.0
PATIENCE_MS: Final = 500.0
"""A question that takes longer is asked only a few times."""

FEWEST: Final = 2

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Shape:
    """A family of queries.

    Attributes:
        name: What it is called in tables.
        query: Makes the query that matches a share of the runs; None where there is none.
        is_system: Whether a count has the limit of system attributes.
        is_indexed: Whether gates hold for it.
    """

    name: str
    query: Callable[[Spread, float], str | None]
    is_system: bool = False
    is_indexed: bool = True


def _started(newest: bool) -> Callable[[Spread, float], str]:
    def query(spread: Spread, share: float) -> str:
        edge = spread.share_of_time(1 - share if newest else share)
        return f"StartTime {'>=' if newest else '<'} '{_time(edge)}'"

    return query


def _started_between(spread: Spread, share: float) -> str:
    low, high = (spread.share_of_time(each) for each in (0.5 - share / 2, 0.5 + share / 2))
    return f"StartTime >= '{_time(low)}' AND StartTime < '{_time(high)}'"


def _closed_between(spread: Spread, share: float) -> str:
    low, high = (spread.share_of_time(each) for each in (0.5 - share / 2, 0.5 + share / 2))
    return f"CloseTime BETWEEN '{_time(low)}' AND '{_time(high)}'"


def _prefix(spread: Spread, share: float) -> str | None:
    # A prefix leaves out whole digits: there is none for nine tenths.
    if share > 1 / 2:
        return None
    digits = round(math.log10(spread.rows * share))
    return f"WorkflowId STARTS_WITH '{spread.workflow_id(spread.rows - 1)[: -digits or None]}'"


def _time(moment: int) -> str:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment // 1000)
    return when.isoformat().replace("+00:00", "Z")


_OLDEST: Final = _started(newest=False)

SHAPES: Final[Sequence[Shape]] = (
    Shape("WorkflowType =", lambda s, f: f"WorkflowType = '{s.word(f)}'", is_system=True),
    Shape(
        "WorkflowType IN",
        lambda s, f: f"WorkflowType IN ('{s.word(f)}', 'none')",
        is_system=True,
    ),
    Shape("ExecutionStatus =", lambda s, f: f"ExecutionStatus = '{s.status(f)}'", is_system=True),
    Shape("WorkflowId STARTS_WITH, the newest", _prefix, is_system=True),
    Shape("StartTime >=, the newest", _started(newest=True), is_system=True),
    Shape("StartTime <, the oldest", _started(newest=False), is_system=True),
    Shape("StartTime >= AND <", _started_between, is_system=True),
    Shape(
        "CloseTime <, the oldest",
        lambda s, f: f"CloseTime < '{_time(s.share_of_time(f))}'",
        is_system=True,
    ),
    Shape("CloseTime BETWEEN", _closed_between, is_system=True),
    Shape("Keyword =", lambda s, f: f"Color = '{s.word(f)}'"),
    Shape("Keyword IN", lambda s, f: f"Color IN ('{s.word(f)}', 'none')"),
    Shape("Keyword !=", lambda s, f: f"Color != '{s.word(1 - f)}'" if f > 1 / 2 else None),
    Shape("Keyword STARTS_WITH", lambda s, f: f"Color STARTS_WITH '{s.word(f)[:-1]}'"),
    Shape("KeywordList =", lambda s, f: f"Tags = '{s.word(f)}'"),
    Shape("Text =", lambda s, f: f"Note = '{s.word(f)}'"),
    Shape("Int <", lambda s, f: f"Amount < {s.share_of_rows(f)}"),
    Shape("Int BETWEEN", lambda s, f: f"Amount BETWEEN 0 AND {s.share_of_rows(f) - 1}"),
    Shape(
        "Keyword = AND status",
        lambda s, f: f"Color = '{s.word(f)}' AND ExecutionStatus = 'Completed'",
    ),
    Shape(
        "Keyword = AND KeywordList =",
        lambda s, f: f"Color = '{s.word(f)}' AND Tags = '{s.word(f)}'",
    ),
    Shape("oldest AND Keyword =", lambda s, f: f"{_OLDEST(s, f)} AND Color = 'most'"),
    Shape("oldest AND type", lambda s, f: f"{_OLDEST(s, f)} AND WorkflowType = 'most'"),
    Shape(
        "CloseTime BETWEEN AND status",
        lambda s, f: f"{_closed_between(s, f)} AND ExecutionStatus = 'Completed'",
    ),
    Shape(
        "type in 1 % of the time",
        lambda s, f: (
            f"WorkflowType = '{s.word(f)}' AND StartTime"
            f" BETWEEN '{_time(s.share_of_time(0.3))}' AND '{_time(s.share_of_time(0.31))}'"
        ),
    ),
    Shape(
        "TaskQueue =",
        lambda s, f: f"TaskQueue = '{s.word(f)}'",
        is_system=True,
        is_indexed=False,
    ),
    Shape(
        "ExecutionTime <, the oldest",
        lambda s, f: f"ExecutionTime < '{_time(s.share_of_time(f))}'",
        is_system=True,
        is_indexed=False,
    ),
    Shape(
        "HistoryLength <",
        lambda s, f: f"HistoryLength < {s.share_of_rows(f) + 1}",
        is_system=True,
        is_indexed=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one question took.

    Attributes:
        store: Of which store.
        shape: Name of the shape; empty for a count of everything.
        share: The share of runs that should match; 1 for everything.
        matches: How many did.
        list_ms: The 99th percentile of the first page, or of the second if that is slower.
        count_ms: That of the count.
    """

    store: str
    shape: str
    share: float
    matches: int
    list_ms: float
    count_ms: float


@dataclass(frozen=True, slots=True)
class VisibilityReport:
    """What every question took, and how long loading took."""

    rows: int
    cells: Sequence[Cell]
    loaded_s: dict[str, float]

    def checks(self) -> list[Check]:
        """The gates, on these numbers: the slowest of each kind."""
        gated = {shape.name: shape for shape in SHAPES if shape.is_indexed}
        checks = []
        for store in self.loaded_s:
            cells = [cell for cell in self.cells if cell.store == store]
            known = [cell for cell in cells if cell.shape in gated]
            system = [cell for cell in known if gated[cell.shape].is_system]
            others = [cell for cell in known if not gated[cell.shape].is_system]
            alone = [cell for cell in cells if not cell.shape]
            checks += [
                _slowest(f"{store}: list", [*known, *alone], lambda c: c.list_ms, MAX_LIST_MS),
                _slowest(
                    f"{store}: count alone or by a system attribute",
                    [*system, *alone],
                    lambda c: c.count_ms,
                    MAX_SYSTEM_COUNT_MS,
                ),
                _slowest(f"{store}: count", others, lambda c: c.count_ms, MAX_COUNT_MS),
            ]
        return checks

    def to_json(self) -> dict[str, Any]:
        """The report as an object of plain values."""
        checks = [{**asdict(check), "passed": check.passed} for check in self.checks()]
        return {**asdict(self), "gates": checks}

    def to_markdown(self) -> str:
        """The report as text for a Markdown page."""
        loads = " and ".join(f"{store} in {s:.0f} s" for store, s in self.loaded_s.items())
        parts = [f"{self.rows:,} closed workflows, loaded into {loads}."]
        for store in self.loaded_s:
            lines = list(self._lines(store))
            parts += [f"{store}:", markdown_lines([HEADINGS, RULES, *lines])]
        gates = "\n".join(f"- {check.line()}" for check in self.checks())
        return "\n\n".join([*parts, LEGEND, gates])

    def _lines(self, store: str) -> Iterator[Sequence[str]]:
        cells = {(c.shape, c.share): c for c in self.cells if c.store == store}
        alone = cells["", 1.0]
        yield "everything", "", "", "", f"{alone.list_ms:.1f}", "", "", "", f"{alone.count_ms:.1f}"
        for shape in SHAPES:
            found = [cells.get((shape.name, share)) for share in SELECTIVITIES]
            name = shape.name if shape.is_indexed else f"{shape.name} (beside the gate)"
            lists = [f"{cell.list_ms:.1f}" if cell else "" for cell in found]
            counts = [f"{cell.count_ms:.1f}" if cell else "" for cell in found]
            yield name, *lists, *counts


HEADINGS: Final = (
    "query",
    *(f"list {share:g}" for share in SELECTIVITIES),
    *(f"count {share:g}" for share in SELECTIVITIES),
)
RULES: Final = ("---", *["---:"] * (len(HEADINGS) - 1))
LEGEND: Final = (
    "Milliseconds, the 99th percentile, by the share of the runs that match: for the slower of the "
    f"first two pages of {PAGE}, and for the count. Beside the gate: there is no index of the "
    "attribute, which is looked for among all runs."
)


def _slowest(
    name: str, cells: Sequence[Cell], value: Callable[[Cell], float], limit: float
) -> Check:
    cell = max(cells, key=value)
    where = f"{cell.shape} at {cell.share:g}" if cell.shape else "everything"
    return Check(f"ms, {name}, slowest ({where})", value(cell), limit)


def run(rows: int, say: Callable[[str], None]) -> VisibilityReport:
    """Load and ask both stores.

    Args:
        rows: Closed workflows in each.
        say: Told how far the run has come.

    Raises:
        BenchError: A store refused a row, or matched other runs than it should; nothing is left
            running.
    """
    return asyncio.run(_run(rows, say))


async def _run(rows: int, say: Callable[[str], None]) -> VisibilityReport:
    loaded_s: dict[str, float] = {}
    cells: list[Cell] = []
    for kind in STORES:
        async with _store(kind) as (store, settle):
            loaded_s[kind] = await _load(store, rows, partial(_say_of, kind, say))
            await settle()
            asked = _Asked(kind, store, Spread(rows))
            cells.append(await asked.everything())
            for shape in SHAPES:
                say(f"{kind}: {shape.name}")
                cells += await asked.shape(shape)
    return VisibilityReport(rows, cells, loaded_s)


def _say_of(kind: str, say: Callable[[str], None], line: str) -> None:
    say(f"{kind}: {line}")


@contextlib.asynccontextmanager
async def _store(kind: str) -> AsyncIterator[tuple[Store, Callable[[], Awaitable[None]]]]:
    """A store without rows, and what its database would do by itself soon after a load."""
    ids = SystemIds(clock=SystemClock())
    if kind == "SQLite":
        with tempfile.TemporaryDirectory(prefix="perdure-bench-") as directory:
            sqlite = await SqliteStore.open(Path(directory) / "bench.db", ids=ids)

            async def nothing() -> None:
                pass

            yield sqlite, nothing
            await sqlite.close()
        return
    with running_database() as database:
        postgres = await PostgresStore.open(database.dsn, ids=ids)

        async def vacuum() -> None:
            connection = await psycopg.AsyncConnection.connect(database.dsn, autocommit=True)
            async with connection:
                await connection.execute("VACUUM (ANALYZE)")

        yield postgres, vacuum
        await postgres.close()


async def _load(store: Store, rows: int, say: Callable[[str], None]) -> float:
    began = time.perf_counter()
    shard = await store.acquire_shard(0, 16_383, "bench")
    for first in range(0, rows, AT_ONCE):
        last = min(first + AT_ONCE, rows)
        written = Commit(
            namespace_id=NAMESPACE_ID,
            workflow_id="",
            slot=0,
            epoch=shard.epoch,
            visibility=list(runs(Spread(rows), first, last)),
        )
        (outcome,) = await store.commit([written])
        if outcome.result is not Result.COMMITTED:
            msg = f"the store refused runs: {outcome.detail}"
            raise BenchError(msg)
        if last % (rows // 10) < AT_ONCE:
            say(f"{last:,} of {rows:,} workflows are loaded")
    return time.perf_counter() - began


class _Asked:
    """A loaded store."""

    def __init__(self, kind: str, store: Store, spread: Spread) -> None:
        self._kind = kind
        self._store = store
        self._spread = spread

    async def everything(self) -> Cell:
        """A query without a condition."""
        return await self._cell("", 1.0, "")

    async def shape(self, shape: Shape) -> list[Cell]:
        """A shape at every selectivity."""
        cells = []
        for share in SELECTIVITIES:
            query = shape.query(self._spread, share)
            if query is not None:
                cells.append(await self._cell(shape.name, share, query))
        return cells

    async def _cell(self, name: str, share: float, query: str) -> Cell:
        def where() -> VisibilityFilter:
            return parse_query(query, ATTRIBUTES).visible

        async def listed(after: VisibilityCursor | None) -> Sequence[VisibilityRow]:
            return await self._store.list_workflows(NAMESPACE_ID, where(), after, PAGE)

        async def counted() -> int:
            return await self._store.count_workflows(NAMESPACE_ID, where())

        page, list_ms = await _timed(partial(listed, None))
        if len(page) == PAGE:
            last = VisibilityCursor(page[-1].close_time, page[-1].start_time, page[-1].run_id)
            _, second_ms = await _timed(partial(listed, last))
            list_ms = max(list_ms, second_ms)
        matches, count_ms = await _timed(counted)
        if len(page) != min(PAGE, matches):
            msg = f"{self._kind}: {query!r} counts {matches} runs and lists {len(page)}"
            raise BenchError(msg)
        return Cell(self._kind, name, share, matches, list_ms, count_ms)


async def _timed(ask: Callable[[], Awaitable[_Answer]]) -> tuple[_Answer, float]:
    """Returns an answer and the 99th percentile of what it took; the first time warms up."""
    answer = await ask()
    taken_ms: list[float] = []
    for number in range(REPEATS):
        began = time.perf_counter()
        await ask()
        taken_ms.append((time.perf_counter() - began) * 1e3)
        if number >= FEWEST and taken_ms[-1] > PATIENCE_MS:
            break
    return answer, percentile(taken_ms, 99)
