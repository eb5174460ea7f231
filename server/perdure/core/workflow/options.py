"""What an open run is given after its start: requests that found it open, and other options.

Both are one event, which no worker has to know: it is no reason for a workflow task. A request that
was attached is remembered by the run with the event that says so, and is answered for it whenever
it comes again, also when the run has closed.
"""

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflow.v1 import message_pb2 as workflow
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import ItemKey, ItemKind
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import RunStep
from perdure.core.workflow_task.state import is_started
from perdure.core.workflow_task.tasks import dispatch_key, dispatch_task
from perdure.proto import stored_pb2 as stored

UPDATED = events.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED


def attach(change: RunStep, request: wf.StartWorkflowExecutionRequest) -> None:
    """Attaches a start request to the open run that it found, as far as it asks for that."""
    options = request.on_conflict_options
    attributes = history.WorkflowExecutionOptionsUpdatedEventAttributes()
    if options.attach_request_id:
        attributes.attached_request_id = request.request_id
    _record(change, attributes, list(request.links) if options.attach_links else [])


def options_of(run: Run) -> workflow.WorkflowExecutionOptions:
    """Returns a run's options as they are now."""
    options = workflow.WorkflowExecutionOptions()
    if (priority := run.priority) is not None:
        options.priority.CopyFrom(priority)
    return options


def update(
    change: RunStep, request: wf.UpdateWorkflowExecutionOptionsRequest
) -> workflow.WorkflowExecutionOptions:
    """Changes those options of an open run that the request's mask names; returns all of them.

    The mask has been checked: it names the priority, or parts of it, and an override that is unset.
    """
    before = options_of(change.run)
    options = workflow.WorkflowExecutionOptions()
    options.CopyFrom(before)
    for path in request.update_mask.paths:
        _apply(path, request.workflow_execution_options, options)
    if options == before:
        return options
    attributes = history.WorkflowExecutionOptionsUpdatedEventAttributes(
        unset_versioning_override=True, identity=request.identity
    )
    if options.HasField("priority"):
        attributes.priority.CopyFrom(options.priority)
        _set_priority(change, options.priority)
    # (A priority that is unset is so in the event only, as on the real server.)
    _record(change, attributes, [])
    return options


def record_again(change: RunStep, event: history.HistoryEvent) -> None:
    """Gives an open run the options and the request that an event has given another one."""
    attributes = event.workflow_execution_options_updated_event_attributes
    if attributes.HasField("priority"):
        _set_priority(change, attributes.priority)
    _record(change, attributes, list(event.links))


def _set_priority(change: RunStep, priority: common.Priority) -> None:
    """Gives a run another priority; its waiting workflow task is queued by it anew."""
    run, state = change.run, change.state
    waits = state.HasField("workflow_task") and not is_started(state)
    if waits:
        change.delete_task(dispatch_key(run, state.workflow_task))
    state.priority.CopyFrom(priority)
    if waits:
        change.add_task(dispatch_task(run, state.workflow_task))


def _apply(
    path: str, given: workflow.WorkflowExecutionOptions, options: workflow.WorkflowExecutionOptions
) -> None:
    head, _, part = path.partition(".")
    if head != "priority":
        return
    if part:
        setattr(options.priority, part, getattr(given.priority, part))
    elif given.HasField("priority"):
        options.priority.CopyFrom(given.priority)
    else:
        options.ClearField("priority")


def _record(
    change: RunStep,
    attributes: history.WorkflowExecutionOptionsUpdatedEventAttributes,
    links: list[common.Link],
) -> None:
    def fill(event: history.HistoryEvent) -> None:
        event.worker_may_ignore = True
        event.workflow_execution_options_updated_event_attributes.CopyFrom(attributes)
        event.links.extend(links)

    event_id = change.state.next_event_id
    appended = change.external_event(UPDATED, fill)
    if request_id := attributes.attached_request_id:
        attached = stored.AttachedRequest(
            request_id=request_id, event_id=event_id if appended else 0
        )
        change.run.attached[request_id] = attached
        change.put_item(ItemKey(ItemKind.CALLBACK, request_id), attached.SerializeToString())
