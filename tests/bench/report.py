"""A run as a table for people, as JSON for machines, and as a section of a Markdown page."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import tables
from bench.errors import BenchError
from bench.gates import Verdict
from bench.machine import Machine
from bench.results import Table
from bench.scenarios import BY_NAME

SECTION = "bench"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a run found, and how it was made."""

    layout: tables.Layout
    table: Table
    verdicts: Sequence[Verdict]
    machine: Machine
    rounds: int
    in_flight: int
    is_quick: bool
    is_profiled: bool

    def to_json(self) -> dict[str, Any]:
        """The report as an object of plain values."""
        return {
            "machine": dataclasses.asdict(self.machine),
            "rounds": self.rounds,
            "in_flight": self.in_flight,
            "quick": self.is_quick,
            "profiled": self.is_profiled,
            "rows": [
                {**dataclasses.asdict(row), **dataclasses.asdict(self.table.ratios(row))}
                for row in self.table.rows
            ],
            "gates": [
                {**dataclasses.asdict(verdict), "passed": verdict.passed}
                for verdict in self.verdicts
            ],
        }

    def to_markdown(self) -> str:
        """The report as text for a Markdown page."""
        remarks = "\n".join(f"- {line}" for line in tables.remarks(self.table))
        gates = "\n".join(f"- {line}" for line in self._gate_lines())
        grid = tables.markdown_table(self.table, self.layout)
        parts = [self.origin(), grid, self.layout.legend, remarks, gates]
        return "\n\n".join(part for part in parts if part)

    def print(self, console: Console) -> None:
        """Print the report for a person."""
        console.print(self.origin(), highlight=False)
        console.print(tables.rich_table(self.table, self.layout))
        for line in (self.layout.legend, *tables.remarks(self.table), *self._gate_lines()):
            console.print(line, highlight=False)

    def origin(self) -> str:
        """When, on what and how the numbers were made."""
        machine = self.machine
        quick = "a quick look, not a measurement, " if self.is_quick else ""
        profiled = "under a profiler, " if self.is_profiled else ""
        how = f"{quick}{profiled}rounds {self.rounds}, workflows in flight {self.in_flight}."
        return f"{machine.sentence()}; {how}"

    def _gate_lines(self) -> Iterator[str]:
        """What is gated first, then what is not held to a gate's limit but shown."""
        for verdict in sorted(self.verdicts, key=lambda each: not each.is_gated):
            value = "not measured" if verdict.value is None else f"{verdict.value:.2f}"
            what = f"{verdict.gate}, {BY_NAME[verdict.scenario].title}: {value}"
            if not verdict.is_gated:
                yield f"beside the gate: {what}"
                continue
            word = "kept" if verdict.passed else "BROKEN"
            limit = "below" if verdict.is_strict else "limit"
            yield f"{word}: {what}, {limit} {verdict.limit:.2f}"


def write_markdown(page: Path, text: str, *, section: str = SECTION) -> None:
    """Replace the section between the markers of a page, or append one with markers.

    Args:
        page: The page; it is made when it is missing.
        text: What the section says.
        section: Its name, which is in the markers.

    Raises:
        BenchError: The page cannot be read or written.
    """
    try:
        before = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n"
        page.write_text(with_section(before, text, section=section), encoding="utf-8")
    except OSError as error:
        msg = f"cannot write {page}: {error.strerror}"
        raise BenchError(msg) from error


def with_section(page: str, text: str, *, section: str = SECTION) -> str:
    """Put a marked section into a page, in the place of the one that is there."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    whole = f"{begin}\n\n{text}\n\n{end}"
    replaced, count = marked.subn(lambda _: whole, page, count=1)
    return replaced if count else f"{page.rstrip()}\n\n{whole}\n"
