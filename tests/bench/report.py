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

BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a run found, and how it was made."""

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
        parts = [self.origin(), tables.markdown_table(self.table), tables.LEGEND, remarks, gates]
        return "\n\n".join(part for part in parts if part)

    def print(self, console: Console) -> None:
        """Print the report for a person."""
        console.print(self.origin(), highlight=False)
        console.print(tables.rich_table(self.table))
        for line in (tables.LEGEND, *tables.remarks(self.table), *self._gate_lines()):
            console.print(line, highlight=False)

    def origin(self) -> str:
        """When, on what and how the numbers were made."""
        machine = self.machine
        quick = "a quick look, not a measurement, " if self.is_quick else ""
        profiled = "under a profiler, " if self.is_profiled else ""
        return (
            f"{machine.date}: {machine.processor}, {machine.cores} cores, "
            f"{machine.memory_gib:.0f} GiB, {machine.system}, Python {machine.python}, "
            f"dev server {machine.devserver}; {quick}{profiled}"
            f"rounds {self.rounds}, workflows in flight {self.in_flight}."
        )

    def _gate_lines(self) -> Iterator[str]:
        for verdict in self.verdicts:
            word = "kept" if verdict.passed else "BROKEN"
            value = "not measured" if verdict.value is None else f"{verdict.value:.2f}"
            where = BY_NAME[verdict.scenario].title
            yield f"{word}: {verdict.gate}, {where}: {value}, limit {verdict.limit:.2f}"


def write_markdown(page: Path, report: Report) -> None:
    """Replace the section between the markers of a page, or append one with markers.

    Raises:
        BenchError: The page cannot be read or written.
    """
    section = f"{BEGIN}\n\n{report.to_markdown()}\n\n{END}"
    try:
        text = page.read_text(encoding="utf-8") if page.exists() else "# Performance\n"
        page.write_text(with_section(text, section), encoding="utf-8")
    except OSError as error:
        msg = f"cannot write {page}: {error.strerror}"
        raise BenchError(msg) from error


def with_section(text: str, section: str) -> str:
    """Put a marked section into a page, in the place of the one that is there."""
    marked = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    replaced, count = marked.subn(lambda _: section, text, count=1)
    return replaced if count else f"{text.rstrip()}\n\n{section}\n"
