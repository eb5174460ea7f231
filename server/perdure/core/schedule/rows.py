"""What a schedule shows and writes: its rows, its listing, its description."""

from collections.abc import Iterator
from itertools import islice

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.schedule.v1 import message_pb2 as schedule
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.protobuf import set_duration, set_timestamp
from perdure.core.schedule.state import (
    DEFAULT_OVERLAP,
    DEFINITION,
    DIVISION,
    INFO_FIELD,
    STATE,
    ScheduleRows,
)
from perdure.core.schedule.times import compiled
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import RunStep

SHOWN_ACTIONS = 10
LISTED_ACTIONS = 5
_SERVER_ATTRIBUTES = frozenset({"TemporalSchedulePaused", "TemporalNamespaceDivision"})


def write(change: RunStep, rows: ScheduleRows) -> None:
    """Writes a schedule's rows and what listings show of it."""
    if rows.is_changed:
        change.put_item(DEFINITION, rows.definition.SerializeToString())
        rows.is_changed = False
    change.put_item(STATE, rows.state.SerializeToString())
    attributes = change.run.attributes
    info = list_info(change.run, rows).SerializeToString(deterministic=True)
    payload = attributes.memo.fields[INFO_FIELD]
    payload.metadata["encoding"] = b"binary/plain"
    payload.data = info
    fields = attributes.search_attributes.indexed_fields
    fields["TemporalNamespaceDivision"].CopyFrom(_json(f'"{DIVISION}"', "Keyword"))
    paused = "true" if rows.definition.state.paused else "false"
    fields["TemporalSchedulePaused"].CopyFrom(_json(paused, "Bool"))
    change.put_attributes()


def _json(text: str, kind: str) -> common.Payload:
    payload = common.Payload(data=text.encode())
    payload.metadata["encoding"] = b"json/plain"
    payload.metadata["type"] = kind.encode()
    return payload


def future_times(run: Run, rows: ScheduleRows, count: int) -> list[Timestamp]:
    """Returns when a schedule is next due."""
    state = rows.definition.state
    if state.limited_actions:
        count = min(count, max(state.remaining_actions, 0))
    found = []
    for due in islice(_due_after(run, rows), count):
        found.append(Timestamp())
        set_timestamp(found[-1], due)
    return found


def _due_after(run: Run, rows: ScheduleRows) -> Iterator[int]:
    seed = f"{run.key.namespace_id}\0{run.key.workflow_id}"
    spec = compiled(rows.definition.spec)
    due = spec.next_due(seed, rows.state.processed_time)
    while due is not None:
        if due.actual >= rows.state.update_time:
            yield due.actual
        due = spec.next_due(seed, due.actual)


def list_info(run: Run, rows: ScheduleRows) -> schedule.ScheduleListInfo:
    """Returns what a list shows of a schedule."""
    definition = rows.definition
    info = schedule.ScheduleListInfo(
        spec=definition.spec,
        notes=definition.state.notes,
        paused=definition.state.paused,
        recent_actions=rows.state.recent_actions[-LISTED_ACTIONS:],
        future_action_times=future_times(run, rows, LISTED_ACTIONS),
    )
    info.spec.ClearField("timezone_data")
    if definition.action.HasField("start_workflow"):
        info.workflow_type.CopyFrom(definition.action.start_workflow.workflow_type)
    return info


def token(conflict_token: int) -> bytes:
    """Returns the public form of a conflict token."""
    return conflict_token.to_bytes(8, "big")


def describe(run: Run, rows: ScheduleRows) -> wf.DescribeScheduleResponse:
    """Describes a schedule."""
    state = rows.state
    response = wf.DescribeScheduleResponse(
        schedule=rows.definition, conflict_token=token(state.conflict_token)
    )
    policies = response.schedule.policies
    policies.overlap_policy = policies.overlap_policy or DEFAULT_OVERLAP
    set_duration(policies.catchup_window, rows.catchup_window)
    response.schedule.state.SetInParent()
    response.schedule.spec.SetInParent()
    _fill_info(response.info, run, rows)
    for name, payload in run.attributes.memo.fields.items():
        if name != INFO_FIELD:
            response.memo.fields[name].CopyFrom(payload)
    for name, payload in run.attributes.search_attributes.indexed_fields.items():
        if name not in _SERVER_ATTRIBUTES:
            response.search_attributes.indexed_fields[name].CopyFrom(payload)
    return response


def _fill_info(info: schedule.ScheduleInfo, run: Run, rows: ScheduleRows) -> None:
    state = rows.state
    info.action_count = state.action_count
    info.missed_catchup_window = state.missed_catchup_window
    info.overlap_skipped = state.overlap_skipped
    info.buffer_dropped = state.buffer_dropped
    info.buffer_size = len(state.buffered)
    info.recent_actions.extend(state.recent_actions)
    info.future_action_times.extend(future_times(run, rows, SHOWN_ACTIONS))
    for running in state.running:
        info.running_workflows.add(workflow_id=running.workflow_id, run_id=running.run_id)
    set_timestamp(info.create_time, state.create_time)
    set_timestamp(info.update_time, state.update_time)


def matching_times(
    run: Run, rows: ScheduleRows, start: int, end: int, most: int
) -> list[Timestamp]:
    """Returns the times of a schedule after `start`, up to and with `end`."""
    seed = f"{run.key.namespace_id}\0{run.key.workflow_id}"
    spec = compiled(rows.definition.spec)
    found = []
    for due in islice(spec.between(seed, start, end), most):
        found.append(Timestamp())
        set_timestamp(found[-1], due.actual)
    return found
