"""Replays the transcripts, and holds them against what the real server has recorded."""

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.history.v1 import HistoryEvent

from conformance.normalise import Normaliser
from unit.core.transcript import FOLDER, RECORDED, play
from workbench.paths import ROOT

TRANSCRIPTS = sorted(FOLDER.glob("*.txt"))
RECORDINGS = ROOT / "tests" / "conformance" / "recorded"
COMPARED = frozenset(
    {
        "id",
        "type",
        "attempt",
        "cause",
        "latest_cancel_requested_event_id",
        "new_execution_run_id",
        "retry_state",
        "scheduled_event_id",
        "started_event_id",
        "timeout_type",
        "timer_id",
    }
)
"""What does not depend on the names and timeouts that a scenario chose."""


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, request: pytest.FixtureRequest) -> None:
    written = path.read_text("utf-8")
    played = play(written)[0]
    # The option is there only when pytest is started on this folder.
    if request.config.getoption("--rewrite", default=False):
        path.write_text(played, "utf-8")
    else:
        assert played == written


@pytest.mark.parametrize(
    "path",
    [path for path in TRANSCRIPTS if RECORDED in path.read_text("utf-8")],
    ids=lambda path: path.stem,
)
def test_real_server_wrote_the_same_events(path: Path) -> None:
    written = path.read_text("utf-8")
    (line,) = (line for line in written.splitlines() if line.startswith(RECORDED))
    scenario, step = line.removeprefix(RECORDED).split("/")
    recording = json.loads((RECORDINGS / f"{scenario}.json").read_text("utf-8"))
    _, driver = play(written)
    events = driver.rows.history(driver.rows.current_run_id)
    assert _compared(events) == [_chosen(event) for event in recording["steps"][step]]


def _compared(events: list[HistoryEvent]) -> list[dict[str, Any]]:
    return [_chosen(event) for event in Normaliser(nonce="none").events(events)]


def _chosen(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name in COMPARED}
