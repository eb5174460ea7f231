"""The requests of the load: what a Python SDK client and worker would send, prepared as bytes.

Identity, sticky attributes, build id, SDK and metering metadata are filled in as SDK Core does, so
that requests have the size and the effect of real ones. Activities are not eager.
"""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1.message_pb2 import (
    Command,
    CompleteWorkflowExecutionCommandAttributes,
    ScheduleActivityTaskCommandAttributes,
    StartTimerCommandAttributes,
)
from temporalio.api.common.v1.message_pb2 import (
    ActivityType,
    MeteringMetadata,
    Payload,
    Payloads,
    WorkerVersionCapabilities,
    WorkerVersionStamp,
    WorkflowType,
)
from temporalio.api.enums.v1.command_type_pb2 import CommandType
from temporalio.api.enums.v1.task_queue_pb2 import TaskQueueKind
from temporalio.api.enums.v1.workflow_pb2 import HistoryEventFilterType
from temporalio.api.sdk.v1.task_complete_metadata_pb2 import WorkflowTaskCompletedMetadata
from temporalio.api.taskqueue.v1.message_pb2 import StickyExecutionAttributes, TaskQueue
from temporalio.api.workflowservice.v1.request_response_pb2 import (
    GetWorkflowExecutionHistoryRequest,
    PollActivityTaskQueueRequest,
    PollWorkflowTaskQueueRequest,
    RespondActivityTaskCompletedRequest,
    RespondWorkflowTaskCompletedRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)

from bench.scenarios import Outcome, Scenario
from bench.targets import NAMESPACE
from bench.wire import Template

TASK_QUEUE = "bench-queue"
IDENTITY = "4711@bench-generator"
BUILD_ID = "0123456789abcdef0123456789abcdef"
STICKY = TaskQueue(
    name=f"{IDENTITY}-0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY,
    normal_name=TASK_QUEUE,
)
NORMAL = TaskQueue(name=TASK_QUEUE, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
TIMER_DELAY = timedelta(milliseconds=1)
PAYLOADS = Payloads(
    payloads=[
        Payload(metadata={"encoding": b"json/plain"}, data=b'"a greeting of forty bytes, or so"')
    ]
)
WORKFLOW_TYPE = WorkflowType(name="BenchWorkflow")
ACTIVITY_TYPE = ActivityType(name="bench_activity")
STICKY_TIMEOUT = Duration(seconds=10)


def start() -> Template:
    """StartWorkflowExecution, but for `workflow_id` and `request_id`."""
    request = StartWorkflowExecutionRequest(
        namespace=NAMESPACE,
        workflow_type=WORKFLOW_TYPE,
        task_queue=TaskQueue(name=TASK_QUEUE),
        input=PAYLOADS,
        identity=IDENTITY,
    )
    return Template(request, "workflow_id", "request_id")


def signal() -> Template:
    """SignalWorkflowExecution, but for `workflow_execution` and `request_id`."""
    request = SignalWorkflowExecutionRequest(
        namespace=NAMESPACE, signal_name="bench_signal", input=PAYLOADS, identity=IDENTITY
    )
    return Template(request, "workflow_execution", "request_id")


def close_event() -> Template:
    """The long poll of an SDK's `result()`, but for `execution` and `next_page_token`."""
    request = GetWorkflowExecutionHistoryRequest(
        namespace=NAMESPACE,
        wait_new_event=True,
        history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        skip_archival=True,
    )
    return Template(request, "execution", "next_page_token")


def poll_workflow(queue: TaskQueue) -> bytes:
    """PollWorkflowTaskQueue on the normal or on the sticky queue."""
    return PollWorkflowTaskQueueRequest(
        namespace=NAMESPACE,
        task_queue=queue,
        identity=IDENTITY,
        worker_version_capabilities=WorkerVersionCapabilities(build_id=BUILD_ID),
    ).SerializeToString()


def poll_activity() -> bytes:
    """PollActivityTaskQueue."""
    return PollActivityTaskQueueRequest(
        namespace=NAMESPACE,
        task_queue=NORMAL,
        identity=IDENTITY,
        worker_version_capabilities=WorkerVersionCapabilities(build_id=BUILD_ID),
    ).SerializeToString()


def activity_completed() -> Template:
    """RespondActivityTaskCompleted, but for `task_token`."""
    request = RespondActivityTaskCompletedRequest(
        namespace=NAMESPACE,
        identity=IDENTITY,
        result=PAYLOADS,
        worker_version=WorkerVersionStamp(build_id=BUILD_ID),
    )
    return Template(request, "task_token")


def workflow_task_completed(*commands: Command) -> Template:
    """RespondWorkflowTaskCompleted with these commands, but for `task_token`."""
    request = RespondWorkflowTaskCompletedRequest(
        namespace=NAMESPACE,
        identity=IDENTITY,
        commands=commands,
        sticky_attributes=StickyExecutionAttributes(
            worker_task_queue=STICKY, schedule_to_start_timeout=STICKY_TIMEOUT
        ),
        return_new_workflow_task=True,
        worker_version_stamp=WorkerVersionStamp(build_id=BUILD_ID),
        sdk_metadata=WorkflowTaskCompletedMetadata(),
        metering_metadata=MeteringMetadata(),
        capabilities=RespondWorkflowTaskCompletedRequest.Capabilities(
            discard_speculative_workflow_task_with_events=True
        ),
    )
    return Template(request, "task_token")


def completion() -> Template:
    """The workflow task that completes the workflow, but for `task_token`."""
    return workflow_task_completed(
        Command(
            command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
            complete_workflow_execution_command_attributes=(
                CompleteWorkflowExecutionCommandAttributes(result=PAYLOADS)
            ),
        )
    )


def batches(scenario: Scenario) -> dict[int, Template]:
    """The workflow tasks that issue commands, by the number of commands issued before them."""
    if not scenario.width:
        return {}
    return {
        first: workflow_task_completed(
            *(_command(scenario.outcome, number) for number in range(first, first + scenario.width))
        )
        for first in range(0, scenario.outcomes, scenario.width)
    }


def _command(outcome: Outcome, number: int) -> Command:
    command_id = str(number + 1)
    if outcome is Outcome.TIMER:
        delay = Duration()
        delay.FromTimedelta(TIMER_DELAY)
        return Command(
            command_type=CommandType.COMMAND_TYPE_START_TIMER,
            start_timer_command_attributes=StartTimerCommandAttributes(
                timer_id=command_id, start_to_fire_timeout=delay
            ),
        )
    return Command(
        command_type=CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
        schedule_activity_task_command_attributes=ScheduleActivityTaskCommandAttributes(
            activity_id=command_id,
            activity_type=ACTIVITY_TYPE,
            task_queue=TaskQueue(name=TASK_QUEUE),
            input=PAYLOADS,
            start_to_close_timeout=Duration(seconds=60),
        ),
    )
