"""`perdure workflow inspect`, on a memory store behind a seam."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.protobuf.descriptor import FieldDescriptor

from perdure.app import reading
from perdure.app.cli import main
from perdure.app.stored_view import is_duration, is_time, time_text
from perdure.proto import stored_pb2 as stored
from unit.app.stored_cluster import SLOT, WORKFLOW_ID, StoredCluster

COUNTS = {
    *("started_event_id", "scheduled_event_id", "next_event_id", "last_started_event_id"),
    *("last_completed_event_id", "close_event_id", "cancel_requested_event_id"),
    *("history_size_bytes", "state_transition_count", "signal_count", "buffered_event_count"),
    *("buffered_event_bytes", "next_buffer_key", "task_id", "parent_initiated_event_id"),
    "initiated_event_id",
}
"""Whole numbers of stored messages that are neither times nor durations."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> StoredCluster:
    made = StoredCluster()
    monkeypatch.setattr(reading, "opened", made.opened)
    asyncio.run(made.fill())
    asyncio.run(made.add_workflow())
    return made


def perdure(*arguments: str, namespace: str = "default") -> Result:
    command = ["workflow", "inspect", "-n", namespace, *arguments, "--dsn", "postgresql:///seam"]
    return CliRunner().invoke(main, command, prog_name="perdure")


def as_json(*arguments: str) -> dict[str, Any]:
    result = perdure("-w", WORKFLOW_ID, *arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.usefixtures("cluster")
def test_everything_of_a_run() -> None:
    found = as_json()
    assert (found["run_id"], found["is_current"], found["slot"]) == ("run-1", True, SLOT)
    assert found["owner"] in {"east", "west"}
    assert found["version"] == 1
    assert found["workflow_task"]["task_queue"] == "orders"
    assert found["state"]["status"] == "WORKFLOW_EXECUTION_STATUS_RUNNING"
    assert found["state"]["timer_due"] == "2023-11-14T22:13:25.000000000Z"
    assert found["start"]["task_timeout"] == "10s"
    (activity,) = found["activities"]
    assert (activity["retry_due"], activity["retry_interval"]) == (
        *("2023-11-14T22:13:21.500000000Z", "2s"),
    )
    assert [timer["timer_id"] for timer in found["timers"]] == ["t-1"]
    (child,) = found["children"]
    assert (child["workflow_id"], child["started_run_id"]) == ("packing-1", "child-run")
    assert child["parent_close_policy"] == "PARENT_CLOSE_POLICY_TERMINATE"
    assert found["signal_requests"] == ["s-1"]
    assert [event["event_type"] for event in found["buffered_events"]] == [
        "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED"
    ]
    assert found["timer_rows"] == [{"due": "2023-11-14T22:13:25.000000000Z"}]
    (message,) = found["messages"]
    assert (message["id"], message["kind"], message["to"]) == ("m-1", "signal", "invoice-1")
    assert message["message"]["signal"]["input"]["payloads"] == ["6 bytes"]


@pytest.mark.usefixtures("cluster")
def test_it_reads_every_page() -> None:
    found = as_json()
    assert [task["task_id"] for task in found["tasks"]] == list(range(1, 251))
    assert len(found["history"]) == 250
    assert found["history"][-1] == {"first_event_id": 499, "last_event_id": 500, "bytes": 2}
    assert found["stored_bytes"]["history"] == 500


@pytest.mark.usefixtures("cluster")
def test_payloads_are_shown_only_when_asked_for() -> None:
    hidden = json.dumps(as_json())
    assert "ACME" not in hidden
    assert '"customer": "6 bytes"' in hidden
    assert perdure("-w", WORKFLOW_ID).stdout.count("ACME") == 0
    shown = as_json("--payloads")
    assert shown["attributes"]["memo"]["fields"]["customer"] == {
        "encoding": "json/plain",
        "data": '"ACME"',
    }
    assert "ACME" in json.dumps(shown["activities"])
    assert "ACME" in json.dumps(shown["buffered_events"])


@pytest.mark.usefixtures("cluster")
def test_it_is_readable() -> None:
    page = perdure("-w", WORKFLOW_ID).stdout
    assert WORKFLOW_ID in page
    assert "no money" in page
    assert "packing-1" in page
    assert "line 2" not in page
    assert "and 230 earlier batches, which --output json lists" in page


@pytest.mark.usefixtures("cluster")
def test_a_run_by_its_id() -> None:
    assert as_json("--run-id", "run-1")["run_id"] == "run-1"


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("namespace", "arguments", "expected"),
    [
        ("defalt", ["-w", "x"], 'there is no namespace "defalt" (did you mean "default"?)'),
        ("default", ["-w", "x"], 'namespace "default" holds no workflow "x"'),
        ("default", ["-w", WORKFLOW_ID, "-r", "y"], f'no run "y" of workflow "{WORKFLOW_ID}"'),
    ],
)
def test_what_is_not_there(namespace: str, arguments: list[str], expected: str) -> None:
    result = perdure(*arguments, namespace=namespace)
    assert (result.exit_code, expected in result.stderr) == (1, True)


@pytest.mark.usefixtures("cluster")
def test_what_cannot_be_decoded() -> None:
    result = perdure("-w", "other")
    assert result.exit_code == 1
    assert "what is stored of the run cannot be decoded" in result.stderr


@pytest.mark.parametrize(
    "message",
    [
        *(stored.RunStart, stored.RunState, stored.WorkflowTask, stored.ActivityInfo),
        *(stored.TimerInfo, stored.ChildInfo),
    ],
)
def test_every_whole_number_is_a_time_a_duration_or_a_count(message: type[Any]) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_INT64:
            kinds = [is_time(field), is_duration(field), field.name in COUNTS]
            assert sum(kinds) == 1, field.full_name


def test_times() -> None:
    assert time_text(0) == ""
    assert time_text(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"
