"""Observers of roles, as metrics."""

from asyncio import CancelledError

import pytest

from perdure.app.history_metrics import HistoryMetrics
from perdure.app.matching_metrics import MatchingMetrics
from perdure.app.rpc_metrics import RpcMetrics, error_type
from perdure.core.commit import (
    ActivityEnding,
    ActivityOutcome,
    Commit,
    ScheduleEvent,
    ScheduleOutcome,
    TaskQueueKey,
    TaskType,
    VisibilityRow,
)
from perdure.core.errors import InvalidArgumentError, NotFoundError, UnavailableError
from perdure.core.outcomes import RunSizes
from perdure.matching.observer import QueueStatistics
from perdure.runtime.deterministic import ManualClock
from perdure.telemetry import exposition
from perdure.telemetry.collectors import Metrics

COMPLETED = 2
SECOND = 1_000_000_000
CLOCK = ManualClock()
NOW = CLOCK.now()
QUEUE = TaskQueueKey("id-1", "orders", TaskType.WORKFLOW)


def matching_metrics(metrics: Metrics) -> MatchingMetrics:
    return MatchingMetrics(metrics, namespace_name=lambda _: "default", clock=CLOCK)


def by_name(lines: list[str]) -> dict[str, str]:
    """Returns values by metric, of histograms the sum."""
    return {
        line.split("{")[0]: line.split()[-1]
        for line in lines
        if not line.split("{")[0].endswith(("_bucket", "_count")) or "approximate" in line
    }


def rendered(metrics: Metrics) -> list[str]:
    return exposition.text(metrics).decode().splitlines()


def test_rpcs_are_counted_by_namespace_and_error() -> None:
    metrics = Metrics()
    clock = ManualClock()
    observer = RpcMetrics(metrics.scoped(service_name="frontend"), clock)
    operation = observer.operation("temporal.api.workflowservice.v1.WorkflowService", "Start")
    begun = operation.begin()
    clock.advance(0.25)
    operation.end(begun, "default", None)
    operation.end(operation.begin(), "", NotFoundError("no such workflow"))
    operation.begin()
    lines = rendered(metrics)
    labels = 'operation="Start",service_name="frontend"'
    assert f'service_requests{{namespace="default",{labels}}} 1.0' in lines
    assert f'service_requests{{namespace="_unknown_",{labels}}} 1.0' in lines
    assert f'service_latency_sum{{namespace="default",{labels}}} 0.25' in lines
    assert f'service_pending_requests{{namespace="_unknown_",{labels}}} 1.0' in lines
    assert (
        'service_error_with_type{error_type="serviceerror_NotFound",namespace="_unknown_",'
        f"{labels}}} 1.0"
    ) in lines


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidArgumentError("x"), "serviceerror_InvalidArgument"),
        (CancelledError(), "serviceerror_Canceled"),
        (KeyError("x"), "serviceerror_Internal"),
    ],
)
def test_errors_have_the_real_names(error: BaseException, expected: str) -> None:
    assert error_type(error) == expected


def test_a_queue_has_series_while_it_is_loaded() -> None:
    metrics = Metrics()
    observer = matching_metrics(metrics)
    queue = observer.queue_loaded(QUEUE, None)
    queue.task_matched()
    queue.task_held(unpolled=True)
    queue.poll_succeeded(sync=True, waited=0.5)
    queue.task_dispatched(0.25, sync=True)
    queue.task_dispatched(2.0, sync=False)
    queue.poll_timed_out(waited=60.0)
    observer.sample([QueueStatistics(QUEUE, 3, 7, NOW - 5 * SECOND)])
    lines = [line for line in rendered(metrics) if 'taskqueue="orders"' in line]
    assert by_name(lines) == {
        "approximate_backlog_age_seconds": "5.0",
        "approximate_backlog_count": "7.0",
        "asyncmatch_latency_sum": "2.0",
        "local_to_local_matches": "2.0",
        "no_poller_tasks": "1.0",
        "pending_polls": "3.0",
        "poll_latency_sum": "60.0",
        "poll_success": "1.0",
        "poll_success_sync": "1.0",
        "poll_timeouts": "1.0",
        "syncmatch_latency_sum": "0.25",
        "task_dispatch_latency_sum": "2.0",
        "task_schedule_to_start_latency_sum": "2.25",
        "tasks_added": "1.0",
    }
    assert [line.split()[-1] for line in lines if line.startswith("poll_latency_sum")] == [
        "0.5",
        "60.0",
    ]
    assert any('operation="AddWorkflowTask"' in line for line in lines)
    assert any('operation="PollWorkflowTaskQueue"' in line for line in lines)
    assert loaded_queues(metrics) == 1.0
    assert any(
        'operation="RecordWorkflowTaskStarted",service_name="history",partition="__normal__"'
        in line
        for line in lines
    )
    observer.queue_unloaded(QUEUE)
    assert not [line for line in rendered(metrics) if 'taskqueue="orders"' in line]
    assert loaded_queues(metrics) == 0.0


def loaded_queues(metrics: Metrics) -> float:
    (line,) = [line for line in rendered(metrics) if line.startswith("loaded_task_queue_count{")]
    assert 'namespace="default",operation="MatchingEngine",service_name="matching"' in line
    return float(line.split()[-1])


def test_sticky_queues_are_counted_together_with_the_name_of_their_workers_queue() -> None:
    metrics = Metrics()
    observer = matching_metrics(metrics)
    one, two = (QUEUE._replace(name=name) for name in ("host-1", "host-2"))
    for queue in (one, two):
        observer.queue_loaded(queue, "orders").poll_succeeded(sync=True, waited=0.0)
    observer.sample(
        [QueueStatistics(one, 3, 1, NOW - SECOND), QueueStatistics(two, 4, 2, NOW - 9 * SECOND)]
    )
    lines = [line for line in rendered(metrics) if 'taskqueue="orders"' in line]
    assert all('partition="__sticky__"' in line for line in lines)
    assert not [line for line in rendered(metrics) if "host" in line]
    expected = {
        "approximate_backlog_age_seconds": "9.0",
        "approximate_backlog_count": "3.0",
        "pending_polls": "7.0",
        "poll_success": "2.0",
    }
    assert expected.items() <= by_name(lines).items()
    observer.queue_unloaded(one)
    observer.sample([QueueStatistics(two, 4, 0, 0)])
    lines = [line for line in rendered(metrics) if 'taskqueue="orders"' in line]
    left = {"approximate_backlog_age_seconds": "0.0", "pending_polls": "4.0", "poll_success": "2.0"}
    assert left.items() <= by_name(lines).items()
    observer.queue_unloaded(two)
    assert not [line for line in rendered(metrics) if 'taskqueue="orders"' in line]


def test_a_sticky_queue_whose_workers_are_not_known_yet_has_no_name() -> None:
    metrics = Metrics()
    matching_metrics(metrics).queue_loaded(QUEUE, "").poll_timed_out(60.0)
    (line,) = [line for line in rendered(metrics) if line.startswith("poll_timeouts{")]
    assert 'partition="__sticky__"' in line
    assert 'taskqueue="__omitted__"' in line


def test_transitions_and_endings_are_counted() -> None:
    metrics = Metrics()
    observer = HistoryMetrics(metrics, namespace_name=lambda _: "default")
    commit = Commit(namespace_id="id-1", workflow_id="w", slot=1, epoch=1)
    commit.sizes.append(RunSizes(6, 11, 3000, 500, closed=True))
    commit.visibility.append(
        VisibilityRow("id-1", "r", "w", "Hello", "orders", COMPLETED, 1, 1, close_time=1 + SECOND)
    )
    observer.committed(commit)
    observer.commits_lost(unknown=True)
    lines = rendered(metrics)
    assert [line.split()[-1] for line in lines if line.startswith("state_transition_count_s")] == [
        "6.0"
    ]
    assert [line.split()[-1] for line in lines if line.startswith("workflow_success{")] == ["1.0"]
    assert [line.split()[-1] for line in lines if line.startswith("group_commit_lost{")] == ["1.0"]
    latencies = [line for line in lines if line.startswith("workflow_schedule_to_close_latency_s")]
    assert [line.split()[-1] for line in latencies] == ["1.0"]


def test_what_schedules_do_is_counted() -> None:
    metrics = Metrics()
    observer = HistoryMetrics(metrics, namespace_name=lambda _: "default")
    commit = Commit(namespace_id="id-1", workflow_id="w", slot=1, epoch=1)
    commit.schedule_outcomes += [
        ScheduleOutcome(ScheduleEvent.STARTED, 2 * SECOND),
        ScheduleOutcome(ScheduleEvent.SKIPPED),
        ScheduleOutcome(ScheduleEvent.SKIPPED),
        ScheduleOutcome(ScheduleEvent.MISSED),
    ]
    observer.committed(commit)
    labels = '{namespace="default",service_name="history"}'
    lines = rendered(metrics)
    for name, value in {
        "schedule_action_success": "1.0",
        "schedule_action_delay_sum": "2.0",
        "schedule_overlap_skipped": "2.0",
        "schedule_missed_catchup_window": "1.0",
    }.items():
        assert f"{name}{labels} {value}" in lines


def ended(*outcomes: ActivityOutcome) -> dict[str, str]:
    """Returns the values that these outcomes come to, by metric and operation."""
    metrics = Metrics()
    observer = HistoryMetrics(metrics, namespace_name=lambda _: "default")
    commit = Commit(namespace_id="id-1", workflow_id="w", slot=1, epoch=1)
    commit.outcomes.extend(outcomes)
    observer.committed(commit)
    values: dict[str, str] = {}
    for line in rendered(metrics):
        name, _, rest = line.partition("{")
        if name.startswith("activity_") and not name.endswith(("_bucket", "_count")):
            assert 'activityType="Pay",namespace="default"' in rest
            assert 'taskqueue="orders",versioning_behavior="Unspecified"' in rest
            values[name] = rest.split()[-1]
    return values


def outcome(
    ending: ActivityEnding, *, closed: bool = True, ran: int | None = SECOND, timeout: str = ""
) -> ActivityOutcome:
    return ActivityOutcome(ending, "Pay", "orders", "Hello", closed, ran, 3 * SECOND, timeout)


def test_a_completed_activity_has_both_latencies() -> None:
    assert ended(outcome(ActivityEnding.COMPLETED)) == {
        "activity_success": "1.0",
        "activity_start_to_close_latency_sum": "1.0",
        "activity_end_to_end_latency_sum": "1.0",
        "activity_schedule_to_close_latency_sum": "3.0",
    }


def test_a_retried_failure_is_one_of_an_attempt_only() -> None:
    retried = outcome(ActivityEnding.FAILED, closed=False)
    assert ended(retried) == {
        "activity_task_fail": "1.0",
        "activity_start_to_close_latency_sum": "1.0",
        "activity_end_to_end_latency_sum": "1.0",
    }
    assert ended(retried, outcome(ActivityEnding.FAILED, ran=None)) == {
        "activity_fail": "1.0",
        "activity_task_fail": "2.0",
        "activity_start_to_close_latency_sum": "1.0",
        "activity_end_to_end_latency_sum": "1.0",
        "activity_schedule_to_close_latency_sum": "3.0",
    }


def test_a_timeout_does_not_tell_how_long_work_takes() -> None:
    assert ended(outcome(ActivityEnding.TIMED_OUT, timeout="StartToClose")) == {
        "activity_timeout": "1.0",
        "activity_task_timeout": "1.0",
        "activity_schedule_to_close_latency_sum": "3.0",
    }


def test_a_cancelled_activity_is_counted() -> None:
    assert ended(outcome(ActivityEnding.CANCELED, ran=None)) == {
        "activity_cancel": "1.0",
        "activity_schedule_to_close_latency_sum": "3.0",
    }


def test_errors_are_counted_by_whose_they_are() -> None:
    metrics = Metrics()
    observer = RpcMetrics(metrics.scoped(service_name="frontend"), CLOCK)
    operation = observer.operation("temporal.api.workflowservice.v1.WorkflowService", "Start")
    for error in (
        NotFoundError("none"),
        InvalidArgumentError("bad"),
        UnavailableError("away"),
        KeyError("unforeseen"),
        CancelledError(),
    ):
        operation.end(operation.begin(), "default", error)
    labels = '{namespace="default",operation="Start",service_name="frontend"}'
    lines = rendered(metrics)
    for name, value in {
        "service_errors": 2,
        "service_errors_entity_not_found": 1,
        "service_errors_invalid_argument": 1,
        "service_latency_nouserlatency_count": 5,
    }.items():
        assert f"{name}{labels} {value}" in [line.replace(".0", "") for line in lines]
    assert 'service_panics{service_name="frontend"} 1.0' in lines


def test_calls_that_wait_for_events_are_polls() -> None:
    metrics = Metrics()
    observer = RpcMetrics(metrics.scoped(service_name="frontend"), CLOCK)
    service = "temporal.api.workflowservice.v1.WorkflowService"
    operation = observer.operation(service, "GetWorkflowExecutionHistory")
    operation.end(operation.begin(), "default", None, waits=True)
    operation.end(operation.begin(), "default", None)
    requests = [line for line in rendered(metrics) if line.startswith("service_requests{")]
    assert sorted(line.split('operation="')[1] for line in requests) == [
        'GetWorkflowExecutionHistory",service_name="frontend"} 1.0',
        'PollWorkflowExecutionHistory",service_name="frontend"} 1.0',
    ]
