"""What List and Count see of a run."""

from collections.abc import Mapping

from perdure.core.commit import VisibilityRow
from perdure.core.visibility.attributes import searchable_values
from perdure.core.visibility.query import ValueType
from perdure.core.workflow.state import Run


def visibility_row(run: Run, types: Mapping[str, ValueType]) -> VisibilityRow:
    """Returns the run's visibility row, as it is now."""
    start, state, attributes = run.start, run.state, run.attributes
    closed = not run.is_running
    return VisibilityRow(
        namespace_id=run.key.namespace_id,
        run_id=run.key.run_id,
        workflow_id=run.key.workflow_id,
        workflow_type=start.workflow_type,
        task_queue=start.task_queue,
        status=state.status,
        start_time=start.start_time,
        execution_time=start.execution_time,
        close_time=state.close_time,
        history_length=state.next_event_id - 1 if closed else 0,
        history_size_bytes=state.history_size_bytes if closed else 0,
        state_transition_count=state.state_transition_count if closed else 0,
        parent_workflow_id=start.parent.workflow_id,
        parent_run_id=start.parent.run_id,
        root_workflow_id=start.root.workflow_id or run.key.workflow_id,
        root_run_id=start.root.run_id or run.key.run_id,
        memo=attributes.memo.SerializeToString(),
        search_attributes=attributes.search_attributes.SerializeToString(),
        search_values=searchable_values(attributes.search_attributes, types)
        if attributes.search_attributes.indexed_fields
        else {},
    )
