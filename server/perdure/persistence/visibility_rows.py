"""The columns of a visibility row, in the order that SQL stores write and read them.

Rules that hold here: what a run does not have yet (a close time, a parent) is NULL; `close_order`
is the close time, or later than any for open runs, so that a listing is one index range.
"""

from typing import Any

from perdure.core.commit import VisibilityRow
from perdure.persistence.ports import VisibilityCursor
from perdure.persistence.search_values import decode_values, encode_values

STILL_OPEN = (1 << 63) - 1
"""The `close_order` of open runs."""


def to_columns(row: VisibilityRow) -> tuple[Any, ...]:
    """Returns run_id, namespace_id, workflow_id … search_values, and last close_order."""
    columns = to_plain_columns(row)
    return (
        *columns[:3],
        columns[3] or None,
        columns[4] or None,
        *columns[5:8],
        *[value or None for value in columns[8:]],
    )


def to_plain_columns(row: VisibilityRow) -> tuple[Any, ...]:
    """Returns the same columns with empty text, empty bytes and 0 where they would be NULL."""
    return (
        row.run_id,
        row.namespace_id,
        row.workflow_id,
        row.workflow_type,
        row.task_queue,
        row.status,
        row.start_time,
        row.execution_time,
        row.close_time,
        row.history_length,
        row.history_size_bytes,
        row.state_transition_count,
        row.parent_workflow_id,
        row.parent_run_id,
        row.root_workflow_id,
        row.root_run_id,
        row.memo,
        row.search_attributes,
        encode_values(row.search_values) or "",
        row.close_time or STILL_OPEN,
    )


def from_columns(columns: tuple[Any, ...]) -> VisibilityRow:
    """Returns the row that `to_columns` took apart; close_order is not needed."""
    return VisibilityRow(
        run_id=columns[0],
        namespace_id=columns[1],
        workflow_id=columns[2],
        workflow_type=columns[3] or "",
        task_queue=columns[4] or "",
        status=columns[5],
        start_time=columns[6],
        execution_time=columns[7],
        close_time=columns[8] or 0,
        history_length=columns[9] or 0,
        history_size_bytes=columns[10] or 0,
        state_transition_count=columns[11] or 0,
        parent_workflow_id=columns[12] or "",
        parent_run_id=columns[13] or "",
        root_workflow_id=columns[14] or "",
        root_run_id=columns[15] or "",
        memo=columns[16] or b"",
        search_attributes=columns[17] or b"",
        search_values=decode_values(columns[18]),
    )


def cursor_columns(after: VisibilityCursor) -> tuple[int, int, str]:
    """Returns close_order, start_time and run_id of a listing's last row."""
    return (after.close_time or STILL_OPEN, after.start_time, after.run_id)
