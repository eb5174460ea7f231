"""Observers of roles, as metrics."""

from asyncio import CancelledError

import pytest

from perdure.app.history_metrics import HistoryMetrics
from perdure.app.matching_metrics import MatchingMetrics
from perdure.app.rpc_metrics import RpcMetrics, error_type
from perdure.core.commit import Commit, RunWrite, TaskQueueKey, TaskType, VisibilityRow
from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.matching.observer import QueueStatistics
from perdure.proto.stored_pb2 import RunState
from perdure.runtime.deterministic import ManualClock
from perdure.telemetry import exposition
from perdure.telemetry.collectors import Metrics

COMPLETED = 2
QUEUE = TaskQueueKey("id-1", "orders", TaskType.WORKFLOW)


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
    observer = MatchingMetrics(metrics, namespace_name=lambda _: "default")
    queue = observer.queue_loaded(QUEUE)
    queue.poll_succeeded(sync=True)
    queue.poll_timed_out()
    observer.sample([QueueStatistics(QUEUE, 3, 7, 0)])
    lines = [line for line in rendered(metrics) if 'taskqueue="orders"' in line]
    assert {line.split("{")[0]: line.split()[-1] for line in lines} == {
        "approximate_backlog_count": "7.0",
        "pending_polls": "3.0",
        "poll_success": "1.0",
        "poll_success_sync": "1.0",
        "poll_timeouts": "1.0",
    }
    observer.queue_unloaded(QUEUE)
    assert not [line for line in rendered(metrics) if 'taskqueue="orders"' in line]


def test_transitions_and_endings_are_counted() -> None:
    metrics = Metrics()
    observer = HistoryMetrics(metrics, namespace_name=lambda _: "default")
    state = RunState(state_transition_count=6).SerializeToString()
    commit = Commit(namespace_id="id-1", workflow_id="w", slot=1, epoch=1)
    commit.runs.append(RunWrite(run_id="r", expected_version=3, state=state))
    commit.visibility.append(
        VisibilityRow("id-1", "r", "w", "Hello", "orders", COMPLETED, 1, 1, close_time=2)
    )
    observer.committed(commit)
    observer.commits_lost(unknown=True)
    lines = rendered(metrics)
    assert [line.split()[-1] for line in lines if line.startswith("state_transition_count_s")] == [
        "6.0"
    ]
    assert [line.split()[-1] for line in lines if line.startswith("workflow_success{")] == ["1.0"]
    assert [line.split()[-1] for line in lines if line.startswith("group_commit_lost{")] == ["1.0"]
