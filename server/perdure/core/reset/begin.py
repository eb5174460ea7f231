"""Beginning the run that a reset makes.

    base run ──(events before the point)──► new run: its workflow task fails, signals come again,
    and a new task is scheduled; the id's open run, whichever it is, ends as terminated

Rules that hold here: everything is one commit of the workflow id. The new run's timeouts count from
the reset; its activities are dispatched anew, its timers fire when they were to fire, and messages
whose outcome is not known are sent again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import failed_cause_pb2 as causes
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.activity.transitions import dispatch
from perdure.core.child.transitions import restore as restore_child
from perdure.core.commit import HistoryBatch, ItemKey, ItemKind
from perdure.core.external.transitions import send_again
from perdure.core.reset import children
from perdure.core.reset.reapply import of_base, reapply, wanted_types
from perdure.core.reset.rebuild import Rebuilt
from perdure.core.update.transitions import restore
from perdure.core.workflow.close import Termination, terminate
from perdure.core.workflow.state import Run, new_run, timer_deadline
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow_task.transitions import schedule
from perdure.proto import stored_pb2 as stored

HISTORY_IDENTITY = "history-service"
RESETTER_IDENTITY = "history-resetter"
NO_REQUEST = "emptyUuid"


@dataclass(slots=True)
class Past:
    """What was read of a run before it is reset.

    Attributes:
        rebuilt: What the events before the point say; its run id is the new run's.
        batches: Those events.
        later: Events after the point, of that run and of those that continued it, to come again.
        tip: The last run that was read, and its next event id: what it has from then on is
            missing.
    """

    rebuilt: Rebuilt
    batches: list[HistoryBatch] = field(default_factory=list)
    later: list[history.HistoryEvent] = field(default_factory=list)
    tip: tuple[str, int] = ("", 0)

    def is_complete(self, current: Run) -> bool:
        """Tells whether nothing has happened since it was read."""
        run_id, next_event_id = self.tip
        return current.key.run_id != run_id or current.state.next_event_id == next_event_id


def begin_reset(
    step: Step, base: Run, past: Past, request: wf.ResetWorkflowExecutionRequest
) -> Run:
    """Creates the run that follows a reset, and ends the one that is open.

    Args:
        step: The step of the workflow id, which has a current run.
        base: The run whose history is begun with.
        past: What was read of it, which is complete.
        request: The request.
    """
    current = step.current
    assert current is not None, "who has a run has a current one"
    later = list(past.later)
    if current.key.run_id == past.tip[0]:
        wanted = wanted_types(request)
        if current is base:
            wanted = of_base(wanted)
        later += [event for event in current.buffered.values() if event.event_type in wanted]
    if current.is_running:
        closing = step.edit(current)
        closing.is_reset = True
        children.hand_over(closing, past.rebuilt)
        terminate(closing, Termination(request.reason, identity=RESETTER_IDENTITY))
    change = _begin(step, base, past, request)
    _fail_task(change, base, past.rebuilt, request)
    reapply(change, later)
    schedule(change)
    origin = step.edit(base)
    origin.state.reset_run_id = change.run.key.run_id
    origin.touched = True
    return change.run


def _begin(step: Step, base: Run, past: Past, request: wf.ResetWorkflowExecutionRequest) -> RunStep:
    rebuilt = past.rebuilt
    attributes = stored.Attributes()
    attributes.CopyFrom(rebuilt.attributes)
    key = base.key._replace(run_id=rebuilt.run_id)
    run = new_run(key, _start(base.start, step.now, step.context.cause), attributes)
    run.state.MergeFrom(rebuilt.state)
    run.state.history_size_bytes = sum(len(batch.blob) for batch in past.batches)
    run.state.reset_request_id = request.request_id
    change = step.make_current(run)
    change.copied = list(past.batches)
    change.visibility_changed = True
    if attributes.ByteSize():
        change.put_attributes()
    _restore_pending(change, rebuilt)
    return change


def _start(base: stored.RunStart, now: int, cause: bytes) -> stored.RunStart:
    """Returns the new run's immutable half: the other one's, with timeouts that begin now."""
    start = stored.RunStart()
    start.CopyFrom(base)
    start.original_start_time = base.original_start_time or base.start_time
    start.start_time = now
    start.cause = cause
    start.execution_time = now + base.first_workflow_task_backoff
    if base.execution_timeout:
        start.execution_expiration_time = now + base.execution_timeout
    if base.run_timeout:
        expirations = [now + base.run_timeout]
        if base.execution_timeout:
            expirations.append(start.execution_expiration_time)
        start.run_expiration_time = min(expirations)
    return start


def _restore_pending(change: RunStep, rebuilt: Rebuilt) -> None:
    run = change.run
    for request_id in sorted(rebuilt.signal_requests):
        run.signal_requests.add(request_id)
        change.put_item(ItemKey(ItemKind.SIGNAL_REQUEST, request_id), b"")
    for info in rebuilt.updates.values():
        restore(change, info)
    for told in rebuilt.timers.values():
        timer = stored.TimerInfo()
        timer.CopyFrom(told)
        run.timers[timer.timer_id] = timer
        change.put_item(ItemKey(ItemKind.TIMER, timer.timer_id), timer.SerializeToString())
        run.add_deadline(timer_deadline(timer))
    for told_activity in rebuilt.activities.values():
        activity = stored.ActivityInfo()
        activity.CopyFrom(told_activity)
        if not activity.HasField("priority"):
            activity.priority.CopyFrom(run.start.priority)
        activity.scheduled_time = activity.attempt_scheduled_time = change.now
        run.activities[activity.scheduled_event_id] = activity
        run.activity_ids[activity.activity_id] = activity.scheduled_event_id
        dispatch(change, activity)
    for event in rebuilt.initiated.values():
        send_again(change, event)
    for event_id, child in rebuilt.children.items():
        restore_child(change, child, rebuilt.child_starts.get(event_id))
    for request_id, attached in rebuilt.attached.items():
        run.attached[request_id] = attached
        change.put_item(ItemKey(ItemKind.CALLBACK, request_id), attached.SerializeToString())


def _fail_task(
    change: RunStep, base: Run, rebuilt: Rebuilt, request: wf.ResetWorkflowExecutionRequest
) -> None:
    """Ends the workflow task that is pending at the point; a worker need not have had it."""
    started = rebuilt.started_task
    if not started:
        event = change.event(events.EVENT_TYPE_WORKFLOW_TASK_STARTED)
        attributes = event.workflow_task_started_event_attributes
        attributes.scheduled_event_id = rebuilt.scheduled_task
        attributes.identity = HISTORY_IDENTITY
        attributes.request_id = NO_REQUEST
        attributes.history_size_bytes = change.state.history_size_bytes
        started = event.event_id
    failed = change.event(events.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    written = failed.workflow_task_failed_event_attributes
    written.scheduled_event_id = rebuilt.scheduled_task
    written.started_event_id = started
    written.cause = causes.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
    written.failure.message = request.reason
    written.failure.reset_workflow_failure_info.SetInParent()
    written.identity = HISTORY_IDENTITY
    written.base_run_id = base.key.run_id
    written.new_run_id = change.run.key.run_id


def cut(batches: Sequence[HistoryBatch], last_event_id: int) -> list[HistoryBatch]:
    """Returns batches without the events after an id; at most the last of them is changed."""
    kept = [batch for batch in batches if batch.last_event_id <= last_event_id]
    following = batches[len(kept) :]
    if following and following[0].first_event_id <= last_event_id:
        parsed = history.History.FromString(following[0].blob)
        head = [event for event in parsed.events if event.event_id <= last_event_id]
        blob = history.History(events=head).SerializeToString()
        kept.append(HistoryBatch(following[0].first_event_id, last_event_id, blob))
    return kept
