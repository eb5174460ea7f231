"""The process's own metrics."""

import asyncio

from perdure.telemetry import catalogue, process, server_catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.store import StoreMetrics
from waiting import until


async def test_memory_and_pauses_are_measured() -> None:
    metrics = Metrics().scoped(service_name="server")
    loop = asyncio.get_running_loop()
    monitor = process.ProcessMonitor(metrics, loop, ["frontend", "history"])
    monitor.garbage_collected(2, 0.25)
    monitor.close()
    pauses = metrics.histogram(catalogue.MEMORY_GC_PAUSE_MS).bind()
    assert pauses.total == 250
    assert metrics.gauge(catalogue.MEMORY_ALLOCATED).bind().current() > 1_000_000
    assert metrics.counter(catalogue.RESTARTS).bind(service_name="history").value == 1


async def test_the_event_loop_is_watched() -> None:
    metrics = Metrics().scoped(service_name="server")
    loop = asyncio.get_running_loop()
    monitor = process.ProcessMonitor(metrics, loop, ["server"])
    lag = metrics.histogram(catalogue.EVENT_LOOP_LAG).bind()
    await until(lambda: sum(lag.counts) > 0)
    monitor.close()


def test_store_operations_are_counted() -> None:
    metrics = Metrics().scoped(service_name="history")
    store = StoreMetrics(metrics, plugin_name="sqlite")
    store.commit_done(3, 0.01)
    store.operation_done("commit", 0.01, None)
    store.operation_done("commit", 0.01, RuntimeError())
    labels = {"operation": "commit", "namespace": "all"}
    assert metrics.counter(catalogue.PERSISTENCE_REQUESTS).bind(**labels).value == 2
    assert metrics.counter(catalogue.PERSISTENCE_ERRORS).bind(**labels).value == 1
    assert metrics.histogram(catalogue.GROUP_COMMIT_BATCH_SIZE).bind().total == 3
    failed = metrics.counter(server_catalogue.PERSISTENCE_ERROR_WITH_TYPE)
    assert failed.bind(**labels, error_type="RuntimeError").value == 1


def test_lists_of_workflows_are_counted_as_the_visibility_stores_too() -> None:
    metrics = Metrics().scoped(service_name="history")
    store = StoreMetrics(metrics, plugin_name="sqlite")
    store.operation_done("list_workflows", 0.01, None)
    store.operation_done("list_workflows", 0.01, RuntimeError())
    store.operation_done("load_run", 0.01, None)
    labels = {
        "operation": "list_workflows",
        "visibility_index_name": "",
        "visibility_plugin_name": "sqlite",
    }
    requests = metrics.counter(server_catalogue.VISIBILITY_PERSISTENCE_REQUESTS)
    assert [(key, series.value) for key, series in requests.series()] == [
        (("list_workflows", "history", "", "sqlite"), 2)
    ]
    errors = metrics.counter(server_catalogue.VISIBILITY_PERSISTENCE_ERRORS)
    assert errors.bind(**labels).value == 1
