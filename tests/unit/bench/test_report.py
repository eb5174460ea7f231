"""Reports: plain JSON, and a section of a page that can be replaced again and again."""

import json
from pathlib import Path

import pytest

from bench.comparisons import SERVERS
from bench.errors import BenchError
from bench.gates import judge
from bench.machine import Machine
from bench.report import Report, with_section, write_markdown
from bench.results import tabulate
from unit.bench.samples import sample

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
MACHINE = Machine("2026-01-02", "Abacus", 2, 4.0, "Linux 6", "3.11.7", "1.9.1")


@pytest.fixture
def report() -> Report:
    table = tabulate([sample(target) for target in SERVERS.targets])
    return Report(
        layout=SERVERS.layout,
        table=table,
        verdicts=judge(table, ["empty", "signals"]),
        machine=MACHINE,
        rounds=2,
        in_flight=50,
        is_quick=False,
        is_profiled=False,
    )


def test_json_has_rows_with_ratios_and_gates(report: Report) -> None:
    value = json.loads(json.dumps(report.to_json()))
    assert value["machine"]["processor"] == "Abacus"
    assert [row["target"] for row in value["rows"]] == ["perdure", "devserver", "floor"]
    assert value["rows"][0]["cpu_to_floor"] == 1.0
    of_empty = [gate["passed"] for gate in value["gates"] if gate["scenario"] == "empty"]
    assert of_empty == [True, False, False]


def test_markdown_shows_machine_date_rows_and_shortfalls(report: Report) -> None:
    text = report.to_markdown()
    assert text.startswith("2026-01-02: Abacus, 2 cores")
    assert "| empty | Perdure | 50 | 2.00 | 1.00 | 1.00 | 4.0 |" in text
    assert "- kept: CPU to the floor, empty: 1.00, limit 3.50" in text
    assert "- BROKEN: CPU to the dev server, empty: 1.00, limit 0.25" in text
    assert "- beside the gate: CPU to the dev server, 20 signals: not measured" in text


def test_a_page_keeps_what_is_around_the_section(tmp_path: Path, report: Report) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nAfter.\n", "utf-8")
    write_markdown(page, report.to_markdown())
    write_markdown(page, report.to_markdown())
    write_markdown(page, "Another section.", section="other")
    text = page.read_text("utf-8")
    assert text.startswith(f"# Title\n\n{BEGIN}\n\n2026-01-02")
    assert f"{END}\n\nAfter.\n" in text
    assert text.endswith("<!-- other: begin -->\n\nAnother section.\n\n<!-- other: end -->\n")
    assert "old" not in text
    assert text.count(BEGIN) == 1


def test_a_page_without_markers_gets_the_section_at_its_end() -> None:
    assert with_section("# Title\n", "Text.") == f"# Title\n\n{BEGIN}\n\nText.\n\n{END}\n"


def test_a_page_that_cannot_be_written_is_a_sentence(tmp_path: Path, report: Report) -> None:
    with pytest.raises(BenchError, match="cannot write"):
        write_markdown(tmp_path / "nowhere" / "page.md", report.to_markdown())
