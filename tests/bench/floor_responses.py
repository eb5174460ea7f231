"""The canned responses of the floor: as large as a real server's, serialised once.

The events are those which the real server (1.32) sends at that point of the scenario, with values
of the same size. Ids and times in them are made up: the load generator reads only their types, and
whether the first one has id 1.
"""

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1.message_pb2 import Link, RetryPolicy, WorkerVersionStamp
from temporalio.api.enums.v1.event_type_pb2 import EventType
from temporalio.api.enums.v1.workflow_pb2 import WorkflowExecutionStatus
from temporalio.api.history.v1.message_pb2 import History, HistoryEvent
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1.request_response_pb2 import (
    GetWorkflowExecutionHistoryResponse,
    PollActivityTaskQueueResponse,
    PollWorkflowTaskQueueResponse,
    RespondWorkflowTaskCompletedResponse,
    SignalWorkflowExecutionResponse,
    StartWorkflowExecutionResponse,
)

from bench.requests import (
    ACTIVITY_TYPE,
    BUILD_ID,
    IDENTITY,
    NORMAL,
    PAYLOADS,
    STICKY,
    WORKFLOW_TYPE,
)
from bench.scenarios import Outcome
from bench.targets import NAMESPACE
from bench.wire import Template

RUN_ID = "01a20bb6-ae30-7e03-a661-4ccdb5ee0204"
WORKFLOW_ID = "bench-scenario-75c00edb-b6ff-4626-96ae-f540d75781ec-000001"
TOKEN_PADDING = bytes(102)
"""What a real task token holds besides the workflow id: ids of namespace and run, clocks."""

TIME = Timestamp(seconds=1_795_492_851, nanos=248_919_232)
SECONDS_10 = Duration(seconds=10)
RETRY_POLICY = RetryPolicy(
    initial_interval=Duration(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=Duration(seconds=100),
)
VERSION = WorkerVersionStamp(build_id=BUILD_ID)
STARTED_ATTRIBUTES = {
    "workflow_type": WORKFLOW_TYPE,
    "task_queue": NORMAL,
    "input": PAYLOADS,
    "workflow_task_timeout": SECONDS_10,
    "original_execution_run_id": RUN_ID,
    "identity": IDENTITY,
    "first_execution_run_id": RUN_ID,
    "attempt": 1,
    "first_workflow_task_backoff": Duration(),
    "workflow_id": WORKFLOW_ID,
}
ACTIVITY_ATTRIBUTES = {
    "activity_id": "1",
    "activity_type": ACTIVITY_TYPE,
    "task_queue": NORMAL,
    "input": PAYLOADS,
    "schedule_to_close_timeout": Duration(),
    "schedule_to_start_timeout": Duration(),
    "start_to_close_timeout": Duration(seconds=60),
    "heartbeat_timeout": Duration(),
    "workflow_task_completed_event_id": 4,
    "retry_policy": RETRY_POLICY,
}
TASK_STARTED_ATTRIBUTES = {
    "scheduled_event_id": 8,
    "identity": IDENTITY,
    "request_id": RUN_ID,
    "worker_version": VERSION,
}


def _event(kind: str, event_id: int, attributes: dict[str, Any]) -> HistoryEvent:
    """An event of type EVENT_TYPE_<kind>, with its attributes."""
    one_attribute: dict[str, Any] = {f"{kind.lower()}_event_attributes": attributes}
    return HistoryEvent(
        event_id=event_id,
        event_time=TIME,
        event_type=EventType.Value(f"EVENT_TYPE_{kind}"),
        task_id=1_096_282,
        **one_attribute,
    )


def _events(*events: HistoryEvent) -> bytes:
    """Events as bytes that can be joined to more of them: a History by concatenation."""
    return History(events=events).SerializeToString()


def _scheduled(queue: TaskQueue) -> HistoryEvent:
    attributes = {"task_queue": queue, "start_to_close_timeout": SECONDS_10, "attempt": 1}
    return _event("WORKFLOW_TASK_SCHEDULED", 8, attributes)


TASK_STARTED = _event(
    "WORKFLOW_TASK_STARTED", 9, {**TASK_STARTED_ATTRIBUTES, "history_size_bytes": 1065}
)
FIRST_EVENTS = _events(_event("WORKFLOW_EXECUTION_STARTED", 1, STARTED_ATTRIBUTES))
FIRST_TASK_EVENTS = _events(_scheduled(NORMAL), TASK_STARTED)
LATER_TASK_EVENTS = _events(_scheduled(STICKY), TASK_STARTED)
COMPLETED_TASK_EVENTS = _events(
    _event(
        "WORKFLOW_TASK_COMPLETED",
        4,
        {
            "scheduled_event_id": 2,
            "started_event_id": 3,
            "identity": IDENTITY,
            "worker_version": VERSION,
            "sdk_metadata": {},
            "metering_metadata": {},
        },
    )
)
OUTCOME_EVENTS = {
    Outcome.NOTHING: b"",
    Outcome.ACTIVITY: _events(
        _event("ACTIVITY_TASK_SCHEDULED", 5, ACTIVITY_ATTRIBUTES),
        _event("ACTIVITY_TASK_STARTED", 6, {**TASK_STARTED_ATTRIBUTES, "attempt": 1}),
        _event(
            "ACTIVITY_TASK_COMPLETED",
            7,
            {
                "result": PAYLOADS,
                "scheduled_event_id": 5,
                "started_event_id": 6,
                "identity": IDENTITY,
            },
        ),
    ),
    Outcome.TIMER: _events(
        _event(
            "TIMER_STARTED",
            5,
            {
                "timer_id": "1",
                "start_to_fire_timeout": Duration(nanos=1_000_000),
                "workflow_task_completed_event_id": 4,
            },
        ),
        _event("TIMER_FIRED", 6, {"timer_id": "1", "started_event_id": 5}),
    ),
    Outcome.SIGNAL: _events(
        _event(
            "WORKFLOW_EXECUTION_SIGNALED",
            5,
            {"signal_name": "bench_signal", "input": PAYLOADS, "identity": IDENTITY},
        )
    ),
}

WORKFLOW_TASK = Template(
    PollWorkflowTaskQueueResponse(
        workflow_type=WORKFLOW_TYPE,
        previous_started_event_id=3,
        started_event_id=9,
        attempt=1,
        workflow_execution_task_queue=NORMAL,
        scheduled_time=TIME,
        started_time=TIME,
    ),
    "task_token",
    "workflow_execution",
    "history",
)
NEXT_WORKFLOW_TASK = Template(RespondWorkflowTaskCompletedResponse(), "workflow_task")
ACTIVITY_TASK = Template(
    PollActivityTaskQueueResponse(
        workflow_namespace=NAMESPACE,
        workflow_type=WORKFLOW_TYPE,
        activity_type=ACTIVITY_TYPE,
        activity_id="1",
        input=PAYLOADS,
        scheduled_time=TIME,
        current_attempt_scheduled_time=TIME,
        started_time=TIME,
        attempt=1,
        schedule_to_close_timeout=Duration(),
        start_to_close_timeout=Duration(seconds=60),
        heartbeat_timeout=Duration(),
        retry_policy=RETRY_POLICY,
    ),
    "task_token",
    "workflow_execution",
)
LINK = Link(
    workflow_event=Link.WorkflowEvent(
        namespace=NAMESPACE,
        workflow_id=WORKFLOW_ID,
        run_id=RUN_ID,
        event_ref=Link.WorkflowEvent.EventReference(
            event_id=1, event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
        ),
    )
)
STARTED = StartWorkflowExecutionResponse(
    run_id=RUN_ID,
    started=True,
    link=LINK,
    status=WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
    first_execution_run_id=RUN_ID,
).SerializeToString()
SIGNALED = SignalWorkflowExecutionResponse(link=LINK).SerializeToString()
CLOSED = GetWorkflowExecutionHistoryResponse(
    history=History(
        events=[
            _event(
                "WORKFLOW_EXECUTION_COMPLETED",
                11,
                {"result": PAYLOADS, "workflow_task_completed_event_id": 10},
            )
        ]
    )
).SerializeToString()
NOTHING = b""
