"""What a namespace's row says of its deletion.

It is kept in the namespace's `data`, where an operator who describes the namespace sees it too.
"""

from typing import Final, NamedTuple

from temporalio.api.enums.v1 import namespace_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.persistence.ports import NamespaceRow

_REQUESTED: Final = "perdure.deletion-requested"
_DELAY: Final = "perdure.deletion-delay"
_EMPTIED: Final = "perdure.deletion-emptied"
_ID_PARTS: Final = (5, 10, 36)
"""How much of its id a deleted namespace's name ends with: more where that name is taken."""


class Deletion(NamedTuple):
    """When a namespace was deleted, and what is left of it.

    Times are nanoseconds since the Unix epoch, 0 meaning "not yet"; `delay` is nanoseconds.
    """

    requested: int
    delay: int
    emptied: int


def new_names(name: str, namespace_id: str) -> tuple[str, ...]:
    """Returns what a deleted namespace may be called, the first choice first."""
    return tuple(f"{name}-deleted-{namespace_id[:length]}" for length in _ID_PARTS)


def is_deleted(row: NamespaceRow) -> bool:
    """Tells whether a namespace is being deleted."""
    info = wf.DescribeNamespaceResponse.FromString(row.data).namespace_info
    return info.state == enums.NAMESPACE_STATE_DELETED and _REQUESTED in info.data


def delete(description: wf.DescribeNamespaceResponse, *, now: int, delay: int) -> None:
    """Marks a namespace as deleted; the first deletion counts."""
    info = description.namespace_info
    info.state = enums.NAMESPACE_STATE_DELETED
    if _REQUESTED not in info.data:
        info.data[_REQUESTED] = str(now)
        info.data[_DELAY] = str(delay)


def empty_since(description: wf.DescribeNamespaceResponse, now: int) -> None:
    """Notes that a namespace has no runs any more."""
    description.namespace_info.data[_EMPTIED] = str(now)


def deletion_of(description: wf.DescribeNamespaceResponse) -> Deletion:
    """Returns what is known of a namespace's deletion."""
    data = description.namespace_info.data
    return Deletion(*(_number(data.get(key, "")) for key in (_REQUESTED, _DELAY, _EMPTIED)))


def _number(text: str) -> int:
    # Clients may write into a namespace's data too.
    return int(text) if text.isascii() and text.isdigit() else 0
