"""Series cannot grow without bound, whatever clients call their queues and workflows."""

import gc
import random
import re
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perdure.app.history_metrics import HistoryMetrics
from perdure.app.matching_metrics import MatchingMetrics
from perdure.app.rpc_metrics import RpcMetrics
from perdure.app.series_metrics import SeriesMetrics
from perdure.core.commit import Commit, TaskQueueKey, TaskType, VisibilityRow
from perdure.core.errors import NotFoundError
from perdure.runtime.deterministic import ManualClock
from perdure.telemetry import catalogue, exposition, server_catalogue
from perdure.telemetry.collectors import OVERFLOW, SERIES_LIMIT, Metrics

CLOCK = ManualClock()
QUEUES = 10_000
HOSTILE = (
    'quo"ted',
    "two\nlines",
    "back\\slash",
    "x" * 1_000,
    "",
    "наме",
    "\ud800",
    "\u202e\x00{}=,",
    'a="1"} 1\nfake{b="',
)


def observer(metrics: Metrics) -> MatchingMetrics:
    return MatchingMetrics(metrics, namespace_name=lambda _: "default", clock=CLOCK)


def count(metrics: Metrics) -> dict[str, int]:
    return {family.metric.name: len(family) for family in metrics.families()}


def use_queue(matching: MatchingMetrics, key: TaskQueueKey) -> None:
    """Has everything happen to a queue that makes a series."""
    queue = matching.queue_loaded(key, None)
    queue.task_matched()
    queue.poll_succeeded(sync=True, waited=0.1)
    queue.task_forwarded()
    queue.task_throttled()
    for sync in (True, False):
        for forwarded in (True, False):
            queue.task_dispatched(0.1, sync, forwarded)


def load_and_unload(matching: MatchingMetrics, first: int, held: int) -> None:
    """Has queues come and go, so many of them at a time."""
    keys = [
        TaskQueueKey("id-1", f"queue-{number}", kind)
        for number in range(first, first + held)
        for kind in TaskType
    ]
    for key in keys:
        use_queue(matching, key)
    random.Random(first).shuffle(keys)
    for key in keys:
        matching.queue_unloaded(key)


@pytest.mark.slow
def test_queues_that_come_and_go_leave_nothing_behind() -> None:
    metrics = Metrics()
    matching = observer(metrics)
    load_and_unload(matching, 0, 50)
    series = count(metrics)
    gc.collect()
    before = sys.getallocatedblocks()
    for first in range(0, QUEUES, 50):
        load_and_unload(matching, first, 50)
    gc.collect()
    after = sys.getallocatedblocks()
    assert count(metrics) == series
    lines = exposition.text(metrics).decode()
    assert 'taskqueue="queue_' not in lines
    assert OVERFLOW not in lines
    # Anything that stays behind for every queue would be a block for each.
    assert after - before < QUEUES / 10


def test_queues_that_stay_are_counted_together_beyond_the_cap() -> None:
    metrics = Metrics()
    matching = observer(metrics)
    for number in range(QUEUES):
        use_queue(matching, TaskQueueKey("id-1", f"queue-{number}", TaskType.WORKFLOW))
    assert max(count(metrics).values()) <= SERIES_LIMIT + 4
    successes = metrics.counter(catalogue.POLL_SUCCESS)
    overflow = [each for key, each in successes.series() if OVERFLOW in key]
    assert sum(each.value for _, each in successes.series()) == QUEUES
    assert [each.value for each in overflow] == [QUEUES - SERIES_LIMIT]
    meter = SeriesMetrics(metrics.scoped(service_name="server"))
    meter.sample()
    overflowed = metrics.scoped(service_name="server").counter(
        server_catalogue.METRICS_SERIES_OVERFLOWED
    )
    assert overflowed.bind(metric="poll_success").value == QUEUES - SERIES_LIMIT
    told = metrics.scoped(service_name="server").gauge(server_catalogue.METRICS_SERIES)
    assert told.bind().value == sum(count(metrics).values())


def test_namespaces_and_types_that_clients_invent_are_bounded() -> None:
    metrics = Metrics()
    operation = RpcMetrics(metrics.scoped(service_name="frontend"), CLOCK).operation("", "Start")
    history = HistoryMetrics(metrics, namespace_name=lambda _: "default")
    for number in range(3 * SERIES_LIMIT):
        operation.end(operation.begin(), f"namespace-{number}", NotFoundError("none"))
        commit = Commit(namespace_id="id-1", workflow_id="w", slot=1, epoch=1)
        row = VisibilityRow("id-1", "r", "w", f"type-{number}", "orders", 2, 1, 1, close_time=2)
        commit.visibility.append(row)
        history.committed(commit)
    assert max(count(metrics).values()) <= SERIES_LIMIT + 1
    ended = metrics.counter(catalogue.WORKFLOW_SUCCESS).series()
    assert sum(each.value for _, each in ended) == 3 * SERIES_LIMIT


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_values_like_others(name: str) -> None:
    metrics = Metrics()
    matching = observer(metrics)
    use_queue(matching, TaskQueueKey("id-1", name, TaskType.WORKFLOW))
    operation = RpcMetrics(metrics.scoped(service_name="frontend"), CLOCK).operation("", "Start")
    operation.end(operation.begin(), name, None)
    text = exposition.text(metrics).decode("utf-8")
    values = {
        value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for label, value in sample.labels.items()
        if label in {"taskqueue", "namespace"}
    }
    assert all(re.fullmatch(r"[A-Za-z0-9_]*", value) for value in values)
    assert re.sub(r"[^A-Za-z0-9_]", "_", name) in values
    assert "fake" not in {family.name for family in text_string_to_metric_families(text)}
    assert exposition.open_metrics(metrics).decode("utf-8").endswith("# EOF\n")
