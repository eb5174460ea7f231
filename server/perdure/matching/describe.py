"""What DescribeTaskQueue answers, in both of its modes.

The legacy mode describes one type of a queue; the enhanced mode, which the CLI uses, describes
several types at once, by version. A queue without versioning has the one version "".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import task_queue_pb2 as enums
from temporalio.api.taskqueue.v1 import message_pb2 as taskqueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskType
from perdure.core.matching.pollers import PollerRecord
from perdure.rpc.clients import Poller

DEFAULT_RATE_PER_SECOND = 100_000.0
"""What the real server reports for a poller that sets no rate."""

DEFAULT_PRIORITY = 3
_UNVERSIONED = "__unversioned__"
_NO_TIME_SECONDS = -62_135_596_800
"""The year 1, which the real server sends for a time that was never set."""


@dataclass(slots=True, frozen=True)
class QueueReport:
    """What is known of one type of a queue.

    Attributes:
        pollers: Identities and their last polls, newest first.
        backlog: Tasks that wait: all, or the first of many.
        backlog_count: About how many wait.
        add_rate: Tasks that come, per second.
        dispatch_rate: Tasks that are started, per second.
        now: Nanoseconds since the epoch.
    """

    pollers: list[tuple[str, PollerRecord[Poller]]]
    backlog: list[DispatchTask]
    backlog_count: int
    add_rate: float
    dispatch_rate: float
    now: int


def legacy(
    request: wf.DescribeTaskQueueRequest, report: QueueReport
) -> wf.DescribeTaskQueueResponse:
    """Returns the answer for one type of a queue."""
    response = wf.DescribeTaskQueueResponse(
        pollers=_pollers(report.pollers),
        versioning_info=taskqueue.TaskQueueVersioningInfo(
            current_version=_UNVERSIONED, update_time=Timestamp(seconds=_NO_TIME_SECONDS)
        ),
    )
    rate = _worker_rate(report.pollers)
    if rate is not None:
        response.effective_rate_limit.requests_per_second = rate
        response.effective_rate_limit.rate_limit_source = enums.RATE_LIMIT_SOURCE_WORKER
    if request.include_task_queue_status:
        response.task_queue_status.backlog_count_hint = report.backlog_count
        response.task_queue_status.rate_per_second = rate or DEFAULT_RATE_PER_SECOND
    if request.report_stats:
        response.stats.CopyFrom(_stats(report))
        for priority, stats in _stats_by_priority(report).items():
            response.stats_by_priority_key[priority].CopyFrom(stats)
    return response


def enhanced(
    request: wf.DescribeTaskQueueRequest, reports: Mapping[TaskType, QueueReport]
) -> wf.DescribeTaskQueueResponse:
    """Returns the answer for several types of a queue."""
    response = wf.DescribeTaskQueueResponse()
    types = response.versions_info[""].types_info
    for task_type, report in reports.items():
        info = types[int(task_type)]
        if request.report_pollers:
            info.pollers.extend(_pollers(report.pollers))
        if request.report_stats:
            info.stats.CopyFrom(_stats(report))
    return response


def _pollers(polls: Iterable[tuple[str, PollerRecord[Poller]]]) -> list[taskqueue.PollerInfo]:
    return [_poller(identity, record) for identity, record in polls]


def _poller(identity: str, record: PollerRecord[Poller]) -> taskqueue.PollerInfo:
    request = record.request.request
    info = taskqueue.PollerInfo(
        identity=identity, rate_per_second=_rate(request) or DEFAULT_RATE_PER_SECOND
    )
    info.last_access_time.FromNanoseconds(record.last_access)
    if request.HasField("worker_version_capabilities"):
        info.worker_version_capabilities.CopyFrom(request.worker_version_capabilities)
    if request.HasField("deployment_options"):
        info.deployment_options.CopyFrom(request.deployment_options)
    return info


def _rate(
    request: wf.PollWorkflowTaskQueueRequest | wf.PollActivityTaskQueueRequest,
) -> float | None:
    """Returns the tasks per second that a poller allows its queue, if it says."""
    if not isinstance(request, wf.PollActivityTaskQueueRequest):
        return None
    metadata = request.task_queue_metadata
    return (
        metadata.max_tasks_per_second.value if metadata.HasField("max_tasks_per_second") else None
    )


def _worker_rate(polls: Iterable[tuple[str, PollerRecord[Poller]]]) -> float | None:
    """Returns what the newest poller that has an opinion allows."""
    rates = (_rate(record.request.request) for _, record in polls)
    return next((rate for rate in rates if rate is not None), None)


def _stats(report: QueueReport) -> taskqueue.TaskQueueStats:
    oldest = min((task.scheduled_time for task in report.backlog), default=report.now)
    return taskqueue.TaskQueueStats(
        approximate_backlog_count=report.backlog_count,
        approximate_backlog_age=_nanoseconds(max(0, report.now - oldest)),
        tasks_add_rate=report.add_rate,
        tasks_dispatch_rate=report.dispatch_rate,
    )


def _stats_by_priority(report: QueueReport) -> dict[int, taskqueue.TaskQueueStats]:
    """Splits the statistics; the default priority is there even when nothing waits.

    Rates are known for the queue as a whole only, and stand with the default priority.
    """
    by_priority: dict[int, list[DispatchTask]] = {DEFAULT_PRIORITY: []}
    for task in report.backlog:
        by_priority.setdefault(task.key.priority or DEFAULT_PRIORITY, []).append(task)
    unseen = report.backlog_count - len(report.backlog)
    stats = {}
    for priority, tasks in sorted(by_priority.items()):
        default = priority == DEFAULT_PRIORITY
        stats[priority] = _stats(
            QueueReport(
                pollers=[],
                backlog=tasks,
                backlog_count=len(tasks) + (unseen if default else 0),
                add_rate=report.add_rate if default else 0.0,
                dispatch_rate=report.dispatch_rate if default else 0.0,
                now=report.now,
            )
        )
    return stats


def _nanoseconds(value: int) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(value)
    return duration
