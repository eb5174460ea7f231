"""The composition root: puts a server together from its parts, and takes it apart again.

Parts start in the order in which they need each other (telemetry, store, matching and history,
frontend, gRPC listener) and stop in the opposite one: the exit stack holds how.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from perdure.app import settings
from perdure.app.actions import counted
from perdure.app.authorization import authorized
from perdure.app.cluster import ClusterNode
from perdure.app.connection_metrics import ConnectionMetrics
from perdure.app.directory import Directory, SearchAttributes
from perdure.app.exemplars import remembered, with_exemplars
from perdure.app.history_metrics import HistoryMetrics
from perdure.app.listening import check_listeners
from perdure.app.log_metrics import LogMetrics
from perdure.app.matching_metrics import MatchingMetrics, WorkerMetrics
from perdure.app.membership_metrics import HealthMetrics, MembershipMetrics
from perdure.app.memory_metrics import HintMetrics, HistoryMemoryMetrics
from perdure.app.message_metrics import MessageMetrics
from perdure.app.port_metrics import follow_connections
from perdure.app.rpc_metrics import ClientMetrics, InternodeMetrics, QuotaMetrics, RpcMetrics
from perdure.app.sampling import on_loop
from perdure.app.schedule_settings import SCHEDULES
from perdure.app.series_metrics import SeriesMetrics
from perdure.app.settings_file import SettingsFile
from perdure.app.shard_metrics import ShardMetrics
from perdure.app.span_metrics import SpanMetrics
from perdure.app.system_worker import start_system_worker
from perdure.app.tls import open_tls
from perdure.app.traced import traced
from perdure.app.traced_store import StoreSpans
from perdure.app.update_metrics import UpdateMetrics
from perdure.config import dynamic
from perdure.config.settings import Values
from perdure.config.static import ServerConfig
from perdure.config.version import VERSION
from perdure.core.visibility.query import ValueType
from perdure.frontend.quotas.quotas import Quotas
from perdure.frontend.services import Frontend
from perdure.frontend.system import ClusterInfo
from perdure.history.engine import HistoryEngine
from perdure.history.schedule_starts import ScheduleStarts
from perdure.history.shards import ShardAuthority, SoleOwner
from perdure.matching.engine import MatchingEngine
from perdure.persistence.opening import open_store
from perdure.persistence.ports import Store
from perdure.rpc.batch_jobs import BatchJobs
from perdure.rpc.clients import MatchingClient, MatchingNode
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.partitions.client import PartitionedMatching
from perdure.rpc.server import RpcServer
from perdure.rpc.task_queue_configs import TaskQueueConfigs
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from perdure.runtime.memory import tune_gc
from perdure.runtime.tasks import TaskSet
from perdure.systemworker.ports import LooksAfter
from perdure.telemetry import logging, otlp
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.diagnostics import log_start
from perdure.telemetry.http import serve_metrics
from perdure.telemetry.logging import Logger, get_logger
from perdure.telemetry.process import ProcessMonitor, process_name
from perdure.telemetry.store import StoreMetrics

DEFAULT_RETENTION_SECONDS = 24 * 3600
"""Of namespaces that the configuration names, as the real dev server's."""
STOP_GRACE_SECONDS = 3.0
"""How long requests may go on when the server stops; long polls are answered at once."""
DISCONNECT_SECONDS = 0.2
"""How long calls of clients may go on when the server stops: others are refused for as long."""


@dataclass(frozen=True, slots=True)
class Node:
    """A server that serves.

    Attributes:
        places: Where things are, for people.
        log: Where the server as a whole logs.
        failed: Ends with the error for which this process must end.
        cluster_ready: Waits until the cluster around this node lets it serve; None when it is
            alone.
    """

    places: dict[str, str]
    log: Logger
    failed: asyncio.Future[None]
    cluster_ready: Callable[[], Awaitable[None]] | None = None

    async def ready(self) -> None:
        """Waits until this node can serve."""
        if self.cluster_ready is not None:
            await self.cluster_ready()


async def start_node(config: ServerConfig, values: Values, parts: AsyncExitStack) -> Node:
    """Starts every part; closing `parts` stops them.

    Raises:
        ConfigError: A port for metrics cannot be opened, tracing has no packages, or the file of
            settings has mistakes.
        StartupError: The store must not be used as it is, or the gRPC port cannot be opened.
    """
    file = config.dynamic_settings.path
    started = dynamic.read(Path(file), beneath=values) if file else values
    builder = _Builder(config, started, parts)
    await builder.start_store()
    await builder.ensure_namespaces()
    if config.store.kind == "postgres":
        await builder.start_member()
    else:
        await builder.start_alone()
    await builder.open_ports()
    builder.follow_settings(values)
    return builder.finish()


class _Builder:
    """Holds what parts share while they are put together."""

    def __init__(self, config: ServerConfig, values: Values, parts: AsyncExitStack) -> None:
        self._config = config
        self._values = values
        self._parts = parts
        self._log = get_logger("server")
        self._clock = SystemClock()
        self._ids = SystemIds(clock=self._clock)
        self._metrics = Metrics()
        self._places: dict[str, str] = {}
        process = self._metrics.scoped(service_name=process_name(config.roles))
        self._tracer = otlp.connect(
            otel=config.otel,
            endpoint=config.tracing.otlp_endpoint,
            roles=config.roles,
            version=VERSION,
            environment=os.environ,
            observer=SpanMetrics(process),
            node=config.node.name,
        )
        parts.callback(
            logging.observe(
                span_ids=self._tracer.ids if self._tracer.enabled else None,
                troubles=LogMetrics(process),
            )
        )
        self._metrics = with_exemplars(self._metrics, self._tracer, self._clock)
        self._store_spans = StoreSpans(self._tracer, self._clock, store_kind=config.store.kind)
        parts.push_async_callback(asyncio.to_thread, self._tracer.close)
        loop = asyncio.get_running_loop()
        self._monitor = ProcessMonitor(self._metrics, loop, config.roles)
        parts.callback(self._monitor.close)
        self._tasks = TaskSet(on_error=self._task_failed)
        self._failed: asyncio.Future[None] = loop.create_future()
        self._tls = open_tls(config, clock=self._clock, tasks=self._tasks, metrics=process)
        self._samplers: list[Callable[[], None]] = [self._tls.sample]
        self._history: HistoryClient
        self._matching: MatchingNode
        self._matching_settings = settings.MATCHING.build(values)
        self._cluster: ClusterNode | None = None
        self._matching_engine: MatchingEngine | None = None
        self._settings_changed: list[Callable[[Values], None]] = []

    async def start_store(self) -> None:
        """Opens the store, and reads what every role looks up."""
        await self._open_store()
        store = self._store
        self._namespaces = NamespaceRegistry(metadata=store, clock=self._clock, ids=self._ids)
        self._search_attributes = SearchAttributes(metadata=store, clock=self._clock)
        self._task_queue_configs = TaskQueueConfigs(metadata=store, clock=self._clock)
        self._directory = Directory(
            namespaces=self._namespaces, search_attributes=self._search_attributes
        )
        await self._directory.refresh()
        self._tasks.spawn("refresh-namespaces", self._directory.keep_fresh(self._log))

    async def start_alone(self) -> None:
        """Starts matching and history over a store that nobody shares."""
        incarnation = await self._store.incarnation()
        matching = self._make_matching(incarnation)
        owner = SoleOwner(store=self._store, node_id=f"{socket.gethostname()}/{os.getpid()}")
        history = self._make_history(incarnation, matching, owner)
        matching.attach_history(history)
        await owner.begin(history.shards)
        self._history, self._matching = history, matching
        self._start_system_worker(lambda _: True)

    async def start_member(self) -> None:
        """Starts the roles of this process, and becomes a member of the cluster."""
        incarnation = await self._store.incarnation()
        roles = self._config.roles
        calling = ClientMetrics(self._metrics, self._clock, roles)
        self._cluster = cluster = ClusterNode(
            config=self._config,
            store=self._store,
            clock=self._clock,
            ids=self._ids,
            tasks=self._tasks,
            tracer=self._tracer,
            on_error=self._membership_ended,
            membership=MembershipMetrics(self._metrics, roles=roles),
            serving=InternodeMetrics(self._metrics, self._clock, roles),
            calling=calling,
            sent=calling.sent,
            settings=settings.INTERNODE.build(self._values),
            security=self._tls.node,
        )
        self._parts.push_async_callback(cluster.leave)
        matching = self._make_matching(incarnation) if "matching" in roles else None
        partitions = self._matching_settings.partitions
        self._matching = cluster.matching(matching, partitions=partitions)
        history = None
        if "history" in roles:
            history = self._make_history(incarnation, self._matching, cluster.authority)
            self._samplers.append(HealthMetrics(self._metrics, missing=cluster.missing).sample)
            hints = HintMetrics(self._metrics)
            self._samplers.append(lambda: hints.sample(cluster.hints))
        self._history = cluster.history(history)
        if matching is not None:
            matching.attach_history(self._history)
        check_listeners(self._config)
        self._places["Nodes"] = await cluster.open_port(history, matching, self._namespaces)
        self._parts.push_async_callback(cluster.close_port, STOP_GRACE_SECONDS)
        await cluster.join(history, matching)
        if "worker" in roles:
            self._start_system_worker(cluster.looks_after)

    def _start_system_worker(self, looks_after: LooksAfter) -> None:
        start_system_worker(
            store=self._store,
            history=self._history,
            namespaces=self._namespaces,
            search_attributes=self._search_attributes,
            clock=self._clock,
            ids=self._ids,
            tasks=self._tasks,
            settings=settings.SYSTEM_WORKER.build(self._values),
            metrics=self._metrics,
            looks_after=looks_after,
        )

    def _make_matching(self, incarnation: str) -> MatchingEngine:
        observer = MatchingMetrics(
            self._metrics, namespace_name=self._directory.name, clock=self._clock
        )
        matching = MatchingEngine(
            store=self._store,
            clock=self._clock,
            ids=self._ids,
            settings=self._matching_settings,
            incarnation=incarnation,
            on_error=self._task_failed,
            observer=observer,
            rates=self._task_queue_configs,
            tracer=self._tracer,
        )
        workers = WorkerMetrics(self._metrics)
        self._samplers.append(lambda: observer.sample(matching.statistics()))
        self._samplers.append(lambda: workers.sample(matching.workers))
        self._parts.push_async_callback(matching.close)
        self._matching_engine = matching
        return matching

    def _make_history(
        self, incarnation: str, matching: MatchingClient, authority: ShardAuthority
    ) -> HistoryEngine:
        history = HistoryEngine(
            store=self._store_spans.of_commits(self._store),
            matching=matching,
            namespaces=self._directory,
            clock=self._clock,
            ids=self._ids,
            tasks=self._tasks,
            settings=replace(
                settings.HISTORY.build(self._values),
                workflow=settings.WORKFLOW.build(self._values),
            ),
            observer=self._store_spans.of_transitions(
                HistoryMetrics(
                    self._metrics,
                    namespace_name=self._directory.name,
                    large=settings.SIZE_WARNINGS.build(self._values),
                )
            ),
            authority=authority,
            incarnation=incarnation,
            shard_observer=ShardMetrics(self._metrics),
            message_observer=MessageMetrics(self._metrics),
            update_observer=UpdateMetrics(self._metrics),
            schedule_starts=self._make_schedule_starts(),
            tracer=self._tracer,
        )
        memory = HistoryMemoryMetrics(self._metrics)
        self._samplers.append(lambda: memory.sample(history.statistics()))
        self._parts.callback(history.stop)
        return history

    async def ensure_namespaces(self) -> None:
        """Makes the system's namespace, and what the configuration names."""
        await self._namespaces.ensure_system()
        types = {
            name: ValueType[_VALUE_TYPES[kind]]
            for name, kind in self._config.search_attributes.items()
        }
        for name in self._config.namespaces:
            namespace = await self._namespaces.ensure(
                name, retention_seconds=DEFAULT_RETENTION_SECONDS
            )
            if types:
                await self._search_attributes.update(
                    namespace.id, lambda present: present.update({**types, **present})
                )
            else:
                await self._search_attributes.types(namespace.id)

    async def open_ports(self) -> None:
        """Opens the ports: metrics, and last of all gRPC."""
        name = process_name(self._config.roles)
        series = SeriesMetrics(self._metrics.scoped(service_name=name))
        if self._config.metrics is not None:
            host = self._config.metrics.host
            endpoint = serve_metrics(
                self._metrics,
                host=host,
                port=self._config.metrics.port,
                before_scrape=on_loop(asyncio.get_running_loop(), self._sample),
                tls=self._tls.scraped,
            )
            self._parts.callback(endpoint.close)
            self._places["Metrics"] = endpoint.url
        self._samplers.append(series.sample)
        if "frontend" in self._config.roles:
            self._places = {"gRPC": await self._open_public_port(), **self._places}
        self._places["Database"] = self._config.store.describe()
        if self._cluster is not None:
            self._parts.push_async_callback(self._cluster.drain)

    async def _open_public_port(self) -> str:
        frontend = await self._build_frontend()
        listener = self._config.listeners.grpc
        transport = settings.TRANSPORT.build(self._values)
        quotas = self._make_quotas()
        metrics = self._metrics.scoped(service_name="frontend")
        guarded = await authorized(
            quotas.guard(counted(frontend.handlers(), metrics)),
            self._config.global_.authorization,
            metrics=metrics,
            namespaces=self._namespaces,
            across_namespaces=settings.WORKFLOW.build(self._values).cross_namespace_commands,
            clock=self._clock,
            tasks=self._tasks,
            tracer=self._tracer,
        )
        server = RpcServer(
            handlers=traced(remembered(guarded, self._tracer), self._tracer),
            clock=self._clock,
            observer=RpcMetrics(metrics, self._clock),
            transport=replace(transport, share_port=listener.shared),
            security=self._tls.node.frontend,
        )
        cluster = self._cluster
        port = await server.start(listener.host, listener.port, serving=cluster is None)
        self._parts.push_async_callback(self._stop_serving, server, frontend)
        self._samplers.append(follow_connections(metrics, port))
        if cluster is not None:
            cluster.tell_health(server)
        return listener.address(port)

    def _make_schedule_starts(self) -> ScheduleStarts:
        starts = ScheduleStarts(settings=partial(SCHEDULES.build, self._values), clock=self._clock)
        self._settings_changed.append(
            lambda values: starts.change(partial(SCHEDULES.build, values))
        )
        return starts

    def _make_quotas(self) -> Quotas:
        quotas = Quotas(
            settings=partial(settings.QUOTAS.build, self._values),
            is_namespace=lambda name: self._namespaces.find(name) is not None,
            clock=self._clock,
        )
        limits = QuotaMetrics(self._metrics.scoped(service_name="frontend"))
        self._samplers.append(lambda: limits.sample(quotas))
        self._settings_changed.append(
            lambda values: quotas.change(partial(settings.QUOTAS.build, values))
        )
        return quotas

    def follow_settings(self, base: Values) -> None:
        """Has settings change with their file, if there is one.

        Args:
            base: What holds where the file says nothing.
        """
        chosen = self._config.dynamic_settings
        if not chosen.path:
            return
        file = SettingsFile(
            Path(chosen.path),
            started=self._values,
            beneath=base,
            metrics=self._metrics.scoped(service_name=process_name(self._config.roles)),
            apply=self._apply_settings,
        )
        self._tasks.spawn("follow-settings", file.follow(chosen.poll_seconds))

    def _apply_settings(self, values: Values) -> None:
        for change in self._settings_changed:
            change(values)

    def finish(self) -> Node:
        """Says that everything runs, and settles the garbage collector."""
        log_start(
            self._log,
            roles=self._config.roles,
            store=self._config.store.describe(),
            listeners={name.lower(): place for name, place in self._places.items()},
            changed_settings=self._values.changed(),
        )
        tuning = tune_gc(on_pause=self._monitor.garbage_collected)
        self._parts.callback(tuning.undo)
        ready = None if self._cluster is None else self._cluster.ready
        return Node(self._places, self._log, self._failed, ready)

    async def _open_store(self) -> None:
        store = self._config.store
        roles = self._config.roles
        user = "history" if "history" in roles else process_name(roles)
        self._store: Store = await open_store(
            store.kind,
            ids=self._ids,
            path=store.path,
            dsn=store.dsn,
            readers=store.readers,
            timeout_seconds=store.timeout_seconds,
            observer=self._store_spans.of_reads(
                StoreMetrics(self._metrics.scoped(service_name=user), plugin_name=store.kind)
            ),
        )
        if (connections := self._store.statistics().connections) is not None:
            pool = ConnectionMetrics(self._metrics.scoped(service_name=user))
            self._samplers.append(lambda: pool.sample(connections))
        self._parts.push_async_callback(self._store.close)
        self._parts.push_async_callback(self._tasks.close)

    def _whole_queues(self) -> MatchingClient:
        """Returns matching for those to whom a queue is one thing, however many its partitions."""
        chosen = self._matching_settings
        if chosen.partitions == 1:
            return self._matching
        return PartitionedMatching(
            self._matching,
            read_partitions=chosen.read_partitions,
            partitions=chosen.partitions,
            move_seconds=chosen.poll_move,
            random=self._ids.random,
        )

    async def _build_frontend(self) -> Frontend:
        return Frontend(
            history=self._history,
            matching=self._whole_queues(),
            visibility=self._store,
            namespaces=self._namespaces,
            search_attributes=self._search_attributes,
            task_queue_configs=self._task_queue_configs,
            batch_jobs=BatchJobs(metadata=self._store, clock=self._clock),
            ids=self._ids,
            clock=self._clock,
            settings=settings.FRONTEND.build(self._values),
            cluster=ClusterInfo(
                cluster_id=await self._store.cluster_id(),
                persistence_store=self._config.store.kind,
                visibility_store=self._config.store.kind,
                host_name=socket.gethostname(),
            ),
        )

    async def _stop_serving(self, server: RpcServer, frontend: Frontend) -> None:
        if self._matching_engine is not None:
            self._matching_engine.stop_polls()
        frontend.end_long_polls()
        await server.stop(DISCONNECT_SECONDS, disconnect=True)

    def _sample(self) -> None:
        for sample in self._samplers:
            sample()

    def _membership_ended(self, _name: str, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    def _task_failed(self, name: str, error: BaseException) -> None:
        self._log.error("background task failed", task=name, exc_info=error)


_VALUE_TYPES = {
    "Text": "TEXT",
    "Keyword": "KEYWORD",
    "Int": "INT",
    "Double": "DOUBLE",
    "Bool": "BOOL",
    "Datetime": "DATETIME",
    "KeywordList": "KEYWORD_LIST",
}
