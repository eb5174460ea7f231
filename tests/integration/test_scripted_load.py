"""The scripted load on a server of one process and on one of four roles, as Prometheus sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from conformance.targets import free_port
from integration import scripted_load
from integration.prometheus import Prometheus, prometheus, until_seen
from integration.role_nodes import database_server, role_nodes
from perdure.app.node import start_node
from perdure.config.static import Listener, Listeners, Metrics, ServerConfig, Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SECONDS = 120.0
Deployment = Callable[[Path], AbstractAsyncContextManager[tuple[str, list[str]]]]
"""Yields where a server is called, and where it is scraped."""

COUNTED = (
    'service_requests{operation="StartWorkflowExecution",service_name="frontend"}',
    'service_latency_count{operation="PollWorkflowTaskQueue"}',
    'service_error_with_type{error_type="serviceerror_NotFound"}',
    'service_error_with_type{error_type="serviceerror_WorkflowExecutionAlreadyStarted"}',
    'service_errors_resource_exhausted{namespace="limited"}',
    "state_transition_count_count",
    *("workflow_success", "workflow_failed", "workflow_timeout", "workflow_terminate"),
    *("workflow_cancel", "workflow_continued_as_new", "workflow_schedule_to_close_latency_count"),
    *("activity_success", "activity_fail", "activity_task_fail", "activity_cancel"),
    'activity_timeout{timeout_type="StartToClose"}',
    'activity_timeout{timeout_type="Heartbeat"}',
    'activity_timeout{timeout_type="ScheduleToStart"}',
    *("activity_start_to_close_latency_count", "activity_schedule_to_close_latency_count"),
    *("request_workflow_update_message", "accept_workflow_update_message"),
    *("reject_workflow_update_message", "respond_workflow_update_message"),
    *("schedule_action_success", "schedule_action_delay_count"),
    *("messages_delivered", "messages_refused"),
    *("cache_requests", "cache_miss", "cache_usage"),
    *("poll_success", "poll_success_sync", "task_schedule_to_start_latency_count"),
    'tasks_added{task_add_result="sync_match"}',
    'tasks_added{task_add_result="backlog"}',
    *("syncmatch_latency_count", "asyncmatch_latency_count", "no_poller_tasks"),
    *("loaded_task_queue_count", "pending_polls"),
    *("persistence_requests", "persistence_latency_count", "group_commit_latency_count"),
    *("event_loop_lag_count", "memory_allocated", "process_cpu_seconds_total"),
)
"""What the load must bring about, wherever it runs."""
COUNTED_BETWEEN_NODES = (
    'client_requests{service_role="history"}',
    'client_requests{service_role="matching"}',
    'client_errors{service_role="history"}',
    'client_errors{service_role="matching"}',
    'service_requests{service_name="history"}',
    'service_error_with_type{service_name="matching"}',
    'membership_live_nodes{state="up"}',
    *("hints_sent", "sharditem_created_count", "membership_lease_renewal_latency_count"),
)
COUNTED_BY_WORKER = (
    *("temporal_request", "temporal_long_request", "temporal_num_pollers"),
    *("temporal_workflow_completed", "temporal_workflow_failed", "temporal_workflow_canceled"),
    *("temporal_workflow_continue_as_new", "temporal_activity_execution_failed"),
    *("temporal_activity_execution_latency_count", "temporal_workflow_endtoend_latency_count"),
    "temporal_activity_schedule_to_start_latency_count",
    "temporal_workflow_task_execution_latency_count",
    "temporal_worker_task_slots_available",
)


@asynccontextmanager
async def one_process(folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """Runs every role over SQLite; yields where it is called and scraped."""
    config = ServerConfig(
        listeners=Listeners(grpc=Listener(port=0)),
        store=Store(kind="sqlite", path=str(folder / "perdure.db")),
        metrics=Metrics(),
        namespaces=list(scripted_load.NAMESPACES),
    )
    async with AsyncExitStack() as parts:
        node = await start_node(config, scripted_load.settings(), parts)
        yield node.places["gRPC"], [urlsplit(node.places["Metrics"]).netloc]


@asynccontextmanager
async def four_roles(folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """Runs a node of each role over PostgreSQL; yields where they are called and scraped."""
    settings, namespaces = scripted_load.settings(), scripted_load.NAMESPACES
    with database_server() as database:
        async with role_nodes(database, values=settings, namespaces=namespaces) as nodes:
            targets = [urlsplit(node.places["Metrics"]).netloc for node in nodes.values()]
            yield nodes["frontend"].places["gRPC"], targets


def missing(server: Prometheus, wanted: tuple[str, ...]) -> list[str]:
    """Returns the expressions that have no number above 0."""
    return [each for each in wanted if not server.values(f"sum({each}) > 0")]


async def until_counted(server: Prometheus, wanted: tuple[str, ...]) -> None:
    try:
        await until_seen(lambda: not missing(server, wanted), SECONDS)
    except TimeoutError:
        pytest.fail(f"not counted: {await asyncio.to_thread(missing, server, wanted)}")


@pytest.mark.parametrize(
    ("deployment", "wanted"),
    [
        pytest.param(one_process, COUNTED, id="sqlite"),
        pytest.param(
            four_roles,
            (*COUNTED, *COUNTED_BETWEEN_NODES),
            id="roles",
            marks=pytest.mark.postgres,
        ),
    ],
)
async def test_prometheus_sees_what_the_load_does(
    deployment: Deployment, wanted: tuple[str, ...], tmp_path: Path
) -> None:
    worker = f"127.0.0.1:{free_port()}"
    runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=worker)))
    async with (
        deployment(tmp_path) as (address, targets),
        scripted_load.scripted_load(address, runtime),
    ):
        with prometheus({"perdure": targets, "worker": [worker]}, tmp_path) as server:
            await until_counted(server, wanted)
            await until_counted(server, COUNTED_BY_WORKER)
            # A target that has not been scraped yet is neither up nor down.
            await until_seen(lambda: server.health() == {"perdure": {"up"}, "worker": {"up"}})
            firing = await asyncio.to_thread(server.firing)
    assert firing <= {"Watchdog"}
