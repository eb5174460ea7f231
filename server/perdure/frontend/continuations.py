"""What clients that do not follow a closed run's successor are told of its end.

A run that completes, fails or times out may name the run that follows it (a retry, cron). Old SDKs
know only continue-as-new to be followed; so who waits for a close event, and has not said that it
follows the others too, is shown that one, as on the real server.
"""

from collections.abc import Mapping

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.workflow.close import run_timeout_failure
from perdure.rpc.clients import Encoded

_FEATURES, _FOLLOWS = "supported-features", "follows-next-run-id"


def follows_next_run(metadata: Mapping[str, str | bytes]) -> bool:
    """Tells whether a client says that it follows the next run of every close event."""
    features = metadata.get(_FEATURES, "")
    text = features.decode() if isinstance(features, bytes) else features
    return _FOLLOWS in (feature.strip().lower() for feature in text.split(","))


def as_continued(answer: Encoded) -> Encoded:
    """Returns an answer to who waited for a close event, its successor told as an old SDK reads."""
    response = wf.GetWorkflowExecutionHistoryResponse.FromString(answer)
    if not response.history.events:
        return answer
    shown = _shown(response.history.events[-1])
    if shown is None:
        return answer
    response.history.events[-1].CopyFrom(shown)
    return Encoded(response.SerializeToString())


def _shown(event: history.HistoryEvent) -> history.HistoryEvent | None:
    shown = history.HistoryEvent()
    continued = shown.workflow_execution_continued_as_new_event_attributes
    match event.event_type:
        case events.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            completed = event.workflow_execution_completed_event_attributes
            continued.new_execution_run_id = completed.new_execution_run_id
            continued.last_completion_result.CopyFrom(completed.result)
        case events.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            failed = event.workflow_execution_failed_event_attributes
            continued.new_execution_run_id = failed.new_execution_run_id
            continued.failure.CopyFrom(failed.failure)
        case events.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            timed_out = event.workflow_execution_timed_out_event_attributes
            continued.new_execution_run_id = timed_out.new_execution_run_id
            continued.failure.CopyFrom(run_timeout_failure())
        case _:
            return None
    if not continued.new_execution_run_id:
        return None
    shown.event_id = event.event_id
    shown.event_time.CopyFrom(event.event_time)
    shown.version, shown.task_id = event.version, event.task_id
    shown.event_type = events.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
    return shown
