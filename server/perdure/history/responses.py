"""What a worker gets with a task: built from the run at the moment the task started.

Rules that hold here: history is passed on as the bytes it was written as. What is captured with the
step is complete but for history that is not in memory, which is read from the store before the
answer is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.query.v1 import message_pb2 as query
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import HistoryBatch, RunKey
from perdure.core.protobuf import length_delimited, set_duration, set_timestamp
from perdure.core.update.tasks import outgoing
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import RunStep
from perdure.core.workflow_task.transitions import is_held_back, transient_events
from perdure.proto import stored_pb2 as stored

POLL_HISTORY = wf.PollWorkflowTaskQueueResponse.HISTORY_FIELD_NUMBER
POLL_PAGE_TOKEN = wf.PollWorkflowTaskQueueResponse.NEXT_PAGE_TOKEN_FIELD_NUMBER


class PageLimit(NamedTuple):
    """How much history one answer holds: whole batches, up to either limit."""

    batches: int
    size_bytes: int


@dataclass(slots=True)
class StartedWorkflowTask:
    """A workflow task that has just started, ready to be sent.

    Attributes:
        run: The run.
        head: The response without history.
        first_event_id: The first event that the worker needs.
        end_event_id: One past the last event that is written.
        batches: The events, where they are in memory.
        transient: Serialised events that are not written yet.
    """

    run: RunKey
    head: wf.PollWorkflowTaskQueueResponse
    first_event_id: int
    end_event_id: int
    batches: list[HistoryBatch] | None
    transient: bytes = b""
    queries: dict[str, query.WorkflowQuery] = field(default_factory=dict)


def in_memory(
    tail: Sequence[HistoryBatch], first_event_id: int, end_event_id: int
) -> list[HistoryBatch] | None:
    """Returns the batches from an event on, None unless all of them are in memory."""
    if first_event_id >= end_event_id:
        return []
    if not tail or tail[0].first_event_id > first_event_id:
        return None
    return [
        batch
        for batch in tail
        if batch.last_event_id >= first_event_id and batch.first_event_id < end_event_id
    ]


def capture_workflow_task(
    change: RunStep,
    token: stored.TaskToken,
    *,
    full_history: bool,
    resend_updates: bool = True,
    repeated: bool = False,
) -> StartedWorkflowTask:
    """Captures a workflow task that a finished step has started; its updates are sent with it."""
    run, state = change.run, change.state
    task = state.workflow_task
    head = wf.PollWorkflowTaskQueueResponse(
        task_token=token.SerializeToString(),
        previous_started_event_id=state.last_started_event_id,
        started_event_id=task.started_event_id,
        attempt=task.attempt,
    )
    describe_run(head, run)
    set_timestamp(head.scheduled_time, task.scheduled_time)
    set_timestamp(head.started_time, task.started_time)
    if run.updates:
        head.messages.extend(
            outgoing(run, task.started_event_id, resend=resend_updates, repeated=repeated)
        )
    first = 1 if full_history else state.last_started_event_id + 1
    transient = b""
    if is_held_back(run):
        transient = transient_events(change).SerializeToString()
    end = state.next_event_id
    return StartedWorkflowTask(
        run.key, head, first, end, in_memory(run.tail, first, end), transient
    )


def describe_run(head: wf.PollWorkflowTaskQueueResponse, run: Run) -> None:
    """Fills in which run a response is about."""
    head.workflow_execution.workflow_id = run.key.workflow_id
    head.workflow_execution.run_id = run.key.run_id
    head.workflow_type.name = run.start.workflow_type
    head.workflow_execution_task_queue.name = run.start.task_queue
    head.workflow_execution_task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL


def first_page(
    batches: Sequence[HistoryBatch], first_event_id: int, max_batches: int, max_bytes: int
) -> tuple[list[bytes], int]:
    """Returns the blobs of a page, and the id that the next page begins with."""
    blobs: list[bytes] = []
    size, next_event_id = 0, first_event_id
    for batch in batches[:max_batches]:
        blob = batch.blob
        if batch.first_event_id < next_event_id:
            blob = events_from(blob, next_event_id)
        if blobs and size + len(blob) > max_bytes:
            break
        blobs.append(blob)
        size += len(blob)
        next_event_id = batch.last_event_id + 1
    return blobs, next_event_id


def events_from(blob: bytes, first_event_id: int) -> bytes:
    """Returns a serialised History without the events before an id."""
    parsed = history.History.FromString(blob)
    kept = [event for event in parsed.events if event.event_id >= first_event_id]
    return history.History(events=kept).SerializeToString()


def encode_workflow_task(
    started: StartedWorkflowTask, batches: Sequence[HistoryBatch], page: PageLimit
) -> bytes:
    """Returns the serialised poll response: its first page of history and where that goes on."""
    blobs, next_event_id = first_page(
        batches, started.first_event_id, page.batches, page.size_bytes
    )
    tail = b""
    if next_event_id < started.end_event_id:
        token = stored.HistoryPageToken(
            run_id=started.run.run_id,
            next_event_id=next_event_id,
            end_event_id=started.end_event_id,
            transient_events=started.transient,
        )
        tail = length_delimited(POLL_PAGE_TOKEN, token.SerializeToString())
    elif started.transient:
        blobs.append(started.transient)
    for query_id, pending in started.queries.items():
        started.head.queries[query_id].CopyFrom(pending)
    return started.head.SerializeToString() + length_delimited(POLL_HISTORY, *blobs) + tail


@dataclass(slots=True)
class StartedActivity:
    """An activity task that has just started; `scheduled` is None when it must be read first."""

    run: RunKey
    head: wf.PollActivityTaskQueueResponse
    scheduled_event_id: int
    scheduled: history.ActivityTaskScheduledEventAttributes | None


def capture_activity(
    change: RunStep, activity: stored.ActivityInfo, token: stored.TaskToken
) -> StartedActivity:
    """Captures an activity task that a step has started."""
    run = change.run
    head = wf.PollActivityTaskQueueResponse(
        task_token=token.SerializeToString(),
        workflow_namespace=change.context.namespace,
        activity_id=activity.activity_id,
        attempt=activity.attempt,
        retry_policy=activity.retry_policy,
    )
    head.workflow_type.name = run.start.workflow_type
    head.workflow_execution.workflow_id = run.key.workflow_id
    head.workflow_execution.run_id = run.key.run_id
    head.activity_type.name = activity.activity_type
    if activity.HasField("heartbeat_details"):
        head.heartbeat_details.CopyFrom(activity.heartbeat_details)
    if activity.HasField("priority") and activity.priority.ByteSize():
        head.priority.CopyFrom(activity.priority)
    set_timestamp(head.scheduled_time, activity.scheduled_time)
    set_timestamp(head.current_attempt_scheduled_time, activity.attempt_scheduled_time)
    set_timestamp(head.started_time, activity.started_time)
    set_duration(head.schedule_to_close_timeout, activity.schedule_to_close_timeout)
    set_duration(head.start_to_close_timeout, activity.start_to_close_timeout)
    set_duration(head.heartbeat_timeout, activity.heartbeat_timeout)
    event_id = activity.scheduled_event_id
    return StartedActivity(run.key, head, event_id, _scheduled_in_memory(change, event_id))


def _scheduled_in_memory(
    change: RunStep, event_id: int
) -> history.ActivityTaskScheduledEventAttributes | None:
    for event in change.batch.events:
        if event.event_id == event_id:
            return event.activity_task_scheduled_event_attributes
    parsed = change.run.parsed_batch
    if parsed is not None and (found := find_event(parsed, event_id)) is not None:
        return found.activity_task_scheduled_event_attributes
    for batch in change.run.tail:
        if batch.first_event_id <= event_id <= batch.last_event_id:
            parsed = history.History.FromString(batch.blob)
            change.run.parsed_batch = parsed
            found = find_event(parsed, event_id)
            assert found is not None, "a batch holds all the events that it names"
            return found.activity_task_scheduled_event_attributes
    return None


def find_event(parsed: history.History, event_id: int) -> history.HistoryEvent | None:
    """Returns an event of a contiguous history by its id."""
    if not parsed.events:
        return None
    index = event_id - parsed.events[0].event_id
    if 0 <= index < len(parsed.events):
        return parsed.events[index]
    return None


def encode_activity(
    started: StartedActivity, scheduled: history.ActivityTaskScheduledEventAttributes
) -> bytes:
    """Returns the serialised poll response."""
    head = started.head
    if scheduled.HasField("header"):
        head.header.CopyFrom(scheduled.header)
    if scheduled.HasField("input"):
        head.input.CopyFrom(scheduled.input)
    return head.SerializeToString()
