"""Results on the terminal, in JSON and as a Markdown table."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos.errors import ChaosError
from chaos.results import Result

HEADINGS = (
    *("scenario", "workflows", "signals", "attempts", "failed RPCs", "raw non-OK"),
    *("fault s", "recovery s", "start p99 ms", "slowest workflow s", "verdict"),
)
BEGIN = "<!-- chaos results -->"
END = "<!-- end of chaos results -->"


def print_table(console: Console, results: Sequence[Result]) -> None:
    """Prints a row for each scenario, and below them what was wrong."""
    table = Table(*HEADINGS)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for result in results:
        table.add_row(*cells(result))
    console.print(table)
    for result in results:
        for sentence in result.wrong:
            console.print(f"{result.name}: {sentence}", markup=False, highlight=False)
        for failure, number in result.failed_calls.items():
            line = f"{result.name}: failed {number} times: {failure}"
            console.print(line, markup=False, highlight=False)
        if result.folder and not result.passed:
            console.print(f"{result.name}: logs are in {result.folder}", markup=False)


def cells(result: Result) -> tuple[str, ...]:
    """Returns a result as a row."""
    if result.skipped:
        return (result.title, *("–" for _ in HEADINGS[2:]), f"skipped: {result.skipped}")
    return (
        result.title,
        str(result.orders),
        str(result.signals),
        str(result.attempts),
        str(result.failed),
        str(sum(result.raw_statuses.values())),
        f"{result.fault_seconds:.1f}",
        f"{result.recovery_seconds:.1f}",
        f"{result.start_p99_ms:.0f}",
        f"{result.longest_order_seconds:.1f}",
        "passed" if result.passed else "FAILED",
    )


def write_markdown(page: Path, results: Sequence[Result]) -> None:
    """Replaces the results on a page.

    Raises:
        ChaosError: The page has no place for them.
    """
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ChaosError(f"{page} has no lines {BEGIN} and {END}")
    rules = ["---", *("---:" for _ in HEADINGS[2:]), "---"]
    rows = [HEADINGS, rules, *(cells(result) for result in results)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", "utf-8")
