"""Limits of what the frontend lets pass, with the real server's values."""

from dataclasses import dataclass, field
from typing import Final

from perdure.core.visibility.attributes import SearchAttributeLimits
from perdure.core.visibility.limits import QueryLimits
from perdure.frontend.callback_addresses import CallbackAddress

_MEBIBYTE: Final = 1 << 20


@dataclass(slots=True, frozen=True)
class FrontendSettings:
    """What requests are checked against. Times are seconds.

    Attributes:
        max_id_bytes: Of names and ids.
        max_fairness_key_bytes: Of a priority's fairness key.
        max_build_id_bytes: Of a worker's build id.
        max_blob_bytes: Of one message's payloads.
        truncated_failure_bytes: What is kept of a failure that is larger than a blob.
        max_memo_bytes: Of a workflow's memo.
        max_links: On one request.
        max_link_bytes: Of one link.
        max_callbacks: On one request.
        max_callback_url_bytes: Of a callback's URL.
        max_callback_header_bytes: Of a callback's header, names and values together.
        callback_addresses: Where callbacks may go.
        max_concurrent_batches: Jobs of one namespace that run at a time.
        max_batch_executions: Workflows that a job may name one by one.
        search_attributes: How many, and how large.
        queries: How large a visibility query may be.
        default_workflow_task_seconds: A workflow task's timeout where none is asked for.
        max_workflow_task_seconds: The longest timeout of a workflow task.
        min_retention_seconds: The least that a namespace keeps closed workflows for.
        history_page_events: The most, and the default, of one page of history.
        list_page_size: The most, and the default, of one page of a listing.
        schedules: Whether there are schedules at all.
        task_poll_seconds: How long a poll for tasks waits.
        history_poll_seconds: How long a read of history waits for a new event, and a client for
            an update.
        min_poll_seconds: A poll with less time than this is refused.
        poll_margin_seconds: A poll ends this much before its caller gives up.
        task_queue_partitions: Over how many partitions of a task queue new tasks spread.
        query_seconds: How long a query without a deadline waits.
        namespace_delete_delay_seconds: How long a deleted namespace stays when it is empty, where
            the request does not say.
    """

    max_id_bytes: int = 1_000
    max_fairness_key_bytes: int = 64
    max_build_id_bytes: int = 255
    max_blob_bytes: int = 2 * _MEBIBYTE
    truncated_failure_bytes: int = _MEBIBYTE // 2
    max_memo_bytes: int = 2 * _MEBIBYTE
    max_links: int = 10
    max_link_bytes: int = 4_000
    max_callbacks: int = 2_000
    max_callback_url_bytes: int = 1_000
    max_callback_header_bytes: int = 8_192
    callback_addresses: tuple[CallbackAddress, ...] = ()
    max_concurrent_batches: int = 1
    max_batch_executions: int = 10_000
    search_attributes: SearchAttributeLimits = field(default_factory=SearchAttributeLimits)
    queries: QueryLimits = field(default_factory=QueryLimits)
    default_workflow_task_seconds: float = 10.0
    max_workflow_task_seconds: float = 120.0
    min_retention_seconds: int = 3_600
    history_page_events: int = 256
    list_page_size: int = 1_000
    schedules: bool = True
    task_poll_seconds: float = 60.0
    history_poll_seconds: float = 20.0
    min_poll_seconds: float = 2.0
    poll_margin_seconds: float = 1.0
    task_queue_partitions: int = 1
    query_seconds: float = 60.0
    namespace_delete_delay_seconds: float = 0.0
