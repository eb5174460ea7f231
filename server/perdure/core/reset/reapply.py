"""What happened after the point of a reset and is recorded again in the run that follows.

Signals are, unless the request excludes them. Requests to cancel are not: as on the real server,
whose option to exclude them has never had an effect. Updates that were accepted, or taken over from
an earlier reset, are admitted anew. Whatever the request excludes, options
and attached requests are given again, and what was heard of a child that the new run has is heard
again: nobody would tell it once more.
"""

from collections.abc import Iterable

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import reset_pb2 as reset
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.update.v1 import message_pb2 as update
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.child.transitions import HEARD, record_again
from perdure.core.commit import ItemKey, ItemKind
from perdure.core.update.transitions import record_admitted
from perdure.core.workflow import options
from perdure.core.workflow.buffer import child_close_attributes
from perdure.core.workflow.step import RunStep

_EXCLUDED_BY = {
    events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: reset.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED: reset.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: reset.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
}
"""The events that are recorded again, and what excludes them."""


def wanted_types(
    request: wf.ResetWorkflowExecutionRequest,
) -> frozenset[events.EventType.ValueType]:
    """Returns the types of the events that a request wants recorded again, of whichever run."""
    always = frozenset({events.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED})
    if request.reset_reapply_type == reset.RESET_REAPPLY_TYPE_NONE:
        return always
    excluded = set(request.reset_reapply_exclude_types)
    if request.reset_reapply_type == reset.RESET_REAPPLY_TYPE_SIGNAL:
        excluded.add(reset.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE)
    return always.union(kind for kind, by in _EXCLUDED_BY.items() if by not in excluded)


def of_base(
    wanted: frozenset[events.EventType.ValueType],
) -> frozenset[events.EventType.ValueType]:
    """Adds the types of the events that only the run that is reset passes on."""
    return wanted | HEARD


def reapply(change: RunStep, later: Iterable[history.HistoryEvent]) -> None:
    """Records events of the runs that are left behind; their types are wanted.

    The ends of children come last, as they do in a buffer.
    """
    for event in sorted(later, key=lambda event: child_close_attributes(event) is not None):
        if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            _signal(change, event)
        elif event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
            admitted = event.workflow_execution_update_admitted_event_attributes
            _update(change, admitted.request)
        elif event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            accepted = event.workflow_execution_update_accepted_event_attributes
            if accepted.HasField("accepted_request"):
                _update(change, accepted.accepted_request)
        elif event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:
            options.record_again(change, event)
        else:
            record_again(change, event)


def _update(change: RunStep, request: update.Request) -> None:
    update_id = request.meta.update_id
    if update_id not in change.run.updates and update_id not in change.run.completed_updates:
        record_admitted(change, request)


def _signal(change: RunStep, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_signaled_event_attributes
    written = change.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    written.workflow_execution_signaled_event_attributes.CopyFrom(attributes)
    written.links.extend(event.links)
    change.state.signal_count += 1
    if attributes.request_id and not attributes.HasField("external_workflow_execution"):
        change.run.signal_requests.add(attributes.request_id)
        change.put_item(ItemKey(ItemKind.SIGNAL_REQUEST, attributes.request_id), b"")
