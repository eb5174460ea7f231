"""The descriptions of a queue's partitions as one."""

from collections.abc import Sequence

from temporalio.api.taskqueue.v1 import message_pb2 as taskqueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.protobuf import duration_ns, set_duration


def merged(parts: Sequence[wf.DescribeTaskQueueResponse]) -> wf.DescribeTaskQueueResponse:
    """Returns what a queue is like, in either mode, of one answer for each partition.

    Counts and rates are summed up, an age is that of the oldest; a worker that polls several
    partitions is one poller.
    """
    whole = wf.DescribeTaskQueueResponse()
    whole.CopyFrom(parts[0])
    for part in parts[1:]:
        _add(whole, part)
    _unite_pollers(whole)
    for version in whole.versions_info.values():
        for info in version.types_info.values():
            _unite_pollers(info)
    return whole


def _add(whole: wf.DescribeTaskQueueResponse, part: wf.DescribeTaskQueueResponse) -> None:
    whole.pollers.extend(part.pollers)
    if part.HasField("effective_rate_limit") and not whole.HasField("effective_rate_limit"):
        whole.effective_rate_limit.CopyFrom(part.effective_rate_limit)
    if part.HasField("task_queue_status"):
        status = whole.task_queue_status
        status.backlog_count_hint += part.task_queue_status.backlog_count_hint
    if part.HasField("stats"):
        _add_stats(whole.stats, part.stats)
    for priority, stats in part.stats_by_priority_key.items():
        _add_stats(whole.stats_by_priority_key[priority], stats)
    for version, versioned in part.versions_info.items():
        for task_type, info in versioned.types_info.items():
            into = whole.versions_info[version].types_info[task_type]
            into.pollers.extend(info.pollers)
            if info.HasField("stats"):
                _add_stats(into.stats, info.stats)


def _add_stats(whole: taskqueue.TaskQueueStats, part: taskqueue.TaskQueueStats) -> None:
    whole.approximate_backlog_count += part.approximate_backlog_count
    age = max(duration_ns(whole.approximate_backlog_age), duration_ns(part.approximate_backlog_age))
    set_duration(whole.approximate_backlog_age, age)
    whole.tasks_add_rate += part.tasks_add_rate
    whole.tasks_dispatch_rate += part.tasks_dispatch_rate


def _unite_pollers(of: wf.DescribeTaskQueueResponse | taskqueue.TaskQueueTypeInfo) -> None:
    """Leaves the last poll of each worker, newest first."""
    by_identity: dict[str, taskqueue.PollerInfo] = {}
    for poller in sorted(of.pollers, key=_last_access, reverse=True):
        by_identity.setdefault(poller.identity, poller)
    kept = list(by_identity.values())
    del of.pollers[:]
    of.pollers.extend(kept)


def _last_access(poller: taskqueue.PollerInfo) -> tuple[int, int]:
    return poller.last_access_time.seconds, poller.last_access_time.nanos
