"""What clients that follow only continue-as-new are told of a run's end."""

from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryResponse

from conformance.rpc import build
from perdure.frontend.continuations import as_continued, follows_next_run
from perdure.rpc.clients import Encoded

CONTINUED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW


def answered(kind: str, **attributes: Any) -> Encoded:
    event = {
        "event_id": 5,
        "event_type": f"EVENT_TYPE_WORKFLOW_EXECUTION_{kind}",
        "task_id": 7,
        f"workflow_execution_{kind.lower()}_event_attributes": attributes,
    }
    response = build(GetWorkflowExecutionHistoryResponse, history={"events": [event]})
    return Encoded(response.SerializeToString())


@pytest.mark.parametrize("kind", ["COMPLETED", "FAILED", "TIMED_OUT"])
def test_a_successor_is_told_as_continue_as_new(kind: str) -> None:
    answer = as_continued(answered(kind, new_execution_run_id="next"))
    (event,) = GetWorkflowExecutionHistoryResponse.FromString(answer).history.events
    assert (event.event_id, event.event_type, event.task_id) == (5, CONTINUED, 7)
    attributes = event.workflow_execution_continued_as_new_event_attributes
    assert attributes.new_execution_run_id == "next"
    assert attributes.HasField("failure") == (kind != "COMPLETED")


@pytest.mark.parametrize("kind", ["COMPLETED", "FAILED", "TIMED_OUT", "CANCELED", "TERMINATED"])
def test_a_last_run_is_told_as_it_is(kind: str) -> None:
    answer = answered(kind)
    assert as_continued(answer) == answer
    assert as_continued(Encoded()) == b""


@pytest.mark.parametrize(
    ("features", "follows"),
    [
        ("follows-next-run-ID", True),
        ("other, follows-next-run-id", True),
        (b"follows-next-run-id", True),
        ("other", False),
    ],
)
def test_clients_say_what_they_follow(features: str | bytes, follows: bool) -> None:
    assert follows_next_run({"supported-features": features}) == follows
    assert not follows_next_run({})
