"""The log names a run once for each limit that its history passes."""

import pytest
import structlog
from structlog.testing import LogCapture

from perdure.app.size_warnings import SizeWarnings, SizeWarningSettings
from perdure.core.commit import Commit, HistoryBatch, RunWrite
from perdure.core.outcomes import RunSizes


@pytest.fixture
def log() -> LogCapture:
    return LogCapture()


def warnings(log: LogCapture) -> SizeWarnings:
    made = SizeWarnings(
        SizeWarningSettings(history_events=10, history_bytes=100), namespace_name=str.upper
    )
    made._log = structlog.wrap_logger(None, processors=[log])
    return made


def commit(*runs: tuple[RunWrite, RunSizes | None]) -> Commit:
    made = Commit(namespace_id="name", workflow_id="wf", slot=1, epoch=1)
    for write, sizes in runs:
        made.runs.append(write)
        if sizes is not None:
            made.sizes.append(sizes)
    return made


def grown(
    first: int, last: int, size: int, total: int, run_id: str = "run"
) -> tuple[RunWrite, RunSizes]:
    """Returns what a step tells that has written a batch of `size` bytes."""
    write = RunWrite(run_id, 1, b"", history=[HistoryBatch(first, last, bytes(size))])
    return write, RunSizes(1, last, total, 0, closed=False)


def test_a_run_is_named_by_the_step_that_passes_a_limit(log: LogCapture) -> None:
    observer = warnings(log)
    for each in (grown(8, 10, 30, 90), grown(11, 12, 9, 99), grown(13, 15, 2, 101)):
        observer.committed(commit(each))
    assert log.entries == [
        {
            "event": "history count exceeds warn limit.",
            "log_level": "warning",
            "namespace": "NAME",
            "workflow_id": "wf",
            "run_id": "run",
            "history_events": 12,
            "history_bytes": 99,
        },
        {
            "event": "history size exceeds warn limit.",
            "log_level": "warning",
            "namespace": "NAME",
            "workflow_id": "wf",
            "run_id": "run",
            "history_events": 15,
            "history_bytes": 101,
        },
    ]


def test_a_step_without_events_names_nobody(log: LogCapture) -> None:
    large = RunSizes(1, 1_000, 1_000, 0, closed=False)
    warnings(log).committed(commit((RunWrite("run", 1, b""), large)))
    assert not log.entries


def test_runs_that_are_deleted_have_no_sizes(log: LogCapture) -> None:
    gone = RunWrite("gone", 1, b"", deleted=True)
    warnings(log).committed(commit((gone, None), grown(1, 11, 10, 10, "kept")))
    assert [entry["run_id"] for entry in log.entries] == ["kept"]
