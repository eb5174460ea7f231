"""The composition root: puts a server together from its parts, and takes it apart again.

Parts start in the order in which they need each other (telemetry, store, matching and history,
frontend, gRPC listener) and stop in the opposite one: the exit stack holds how.
"""

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from perdure.app import settings
from perdure.app.directory import Directory, SearchAttributes
from perdure.app.history_metrics import HistoryMetrics
from perdure.app.matching_metrics import MatchingMetrics
from perdure.app.rpc_metrics import RpcMetrics
from perdure.app.sampling import on_loop
from perdure.app.traced import traced
from perdure.config.settings import Values
from perdure.config.static import ServerConfig
from perdure.config.version import VERSION
from perdure.core.visibility.query import ValueType
from perdure.frontend.services import Frontend
from perdure.frontend.system import ClusterInfo
from perdure.history.engine import HistoryEngine
from perdure.matching.engine import MatchingEngine
from perdure.persistence.opening import open_store
from perdure.persistence.ports import Store
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.server import RpcServer
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from perdure.runtime.memory import tune_gc
from perdure.runtime.tasks import TaskSet
from perdure.telemetry import tracing
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.diagnostics import log_start
from perdure.telemetry.http import serve_metrics
from perdure.telemetry.logging import Logger, get_logger
from perdure.telemetry.process import ProcessMonitor
from perdure.telemetry.store import StoreMetrics

DEFAULT_RETENTION_SECONDS = 24 * 3600
"""Of namespaces that the configuration names, as the real dev server's."""
STOP_GRACE_SECONDS = 3.0
"""How long requests may go on when the server stops; long polls are answered at once."""


@dataclass(frozen=True, slots=True)
class Node:
    """A server that serves.

    Attributes:
        places: Where things are, for people.
        log: Where the server as a whole logs.
    """

    places: dict[str, str]
    log: Logger


async def start_node(config: ServerConfig, values: Values, parts: AsyncExitStack) -> Node:
    """Starts every part; closing `parts` stops them.

    Raises:
        ConfigError: A port for metrics cannot be opened, or tracing has no packages.
        StartupError: The store must not be used as it is, or the gRPC port cannot be opened.
    """
    builder = _Builder(config, values, parts)
    await builder.start_engine()
    await builder.ensure_namespaces()
    await builder.open_ports()
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
        endpoint = config.tracing.otlp_endpoint
        self._tracer = tracing.connect(endpoint=endpoint, service_version=VERSION)
        parts.callback(self._tracer.close)
        loop = asyncio.get_running_loop()
        self._monitor = ProcessMonitor(self._metrics, loop, config.roles)
        parts.callback(self._monitor.close)
        self._tasks = TaskSet(on_error=self._task_failed)

    async def start_engine(self) -> None:
        """Starts store, matching and history."""
        await self._open_store()
        store = self._store
        self._namespaces = NamespaceRegistry(metadata=store, clock=self._clock, ids=self._ids)
        self._search_attributes = SearchAttributes(metadata=store, clock=self._clock)
        self._directory = Directory(
            namespaces=self._namespaces, search_attributes=self._search_attributes
        )
        await self._directory.refresh()
        incarnation = await store.incarnation()
        self._matching_metrics = MatchingMetrics(self._metrics, namespace_name=self._directory.name)
        self._matching = MatchingEngine(
            store=store,
            clock=self._clock,
            ids=self._ids,
            settings=settings.MATCHING.build(self._values),
            incarnation=incarnation,
            on_error=self._task_failed,
            observer=self._matching_metrics,
        )
        self._parts.push_async_callback(self._matching.close)
        self._history = HistoryEngine(
            store=store,
            matching=self._matching,
            namespaces=self._directory,
            clock=self._clock,
            ids=self._ids,
            tasks=self._tasks,
            settings=replace(
                settings.HISTORY.build(self._values),
                workflow=settings.WORKFLOW.build(self._values),
            ),
            observer=HistoryMetrics(self._metrics, namespace_name=self._directory.name),
            owner=f"{socket.gethostname()}/{os.getpid()}",
            incarnation=incarnation,
        )
        self._matching.attach_history(self._history)
        await self._history.start()
        self._parts.push_async_callback(self._stop_history)
        self._tasks.spawn("refresh-namespaces", self._directory.keep_fresh(self._log))

    async def ensure_namespaces(self) -> None:
        """Makes the namespaces and search attributes that the configuration names."""
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
        if self._config.metrics is not None:
            host = self._config.metrics.host
            endpoint = serve_metrics(
                self._metrics,
                host=host,
                port=self._config.metrics.port,
                before_scrape=on_loop(asyncio.get_running_loop(), self._sample),
            )
            self._parts.callback(endpoint.close)
            self._places["Metrics"] = f"http://{host}:{endpoint.port}/metrics"
        frontend = await self._build_frontend()
        server = RpcServer(
            handlers=traced(frontend.handlers(), self._tracer),
            clock=self._clock,
            observer=RpcMetrics(self._metrics.scoped(service_name="frontend"), self._clock),
            transport=settings.TRANSPORT.build(self._values),
        )
        listener = self._config.listeners.grpc
        port = await server.start(listener.host, listener.port)
        self._parts.push_async_callback(self._stop_serving, server)
        self._places = {
            "gRPC": f"{listener.host}:{port}",
            **self._places,
            "Database": self._config.store.describe(),
        }

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
        return Node(self._places, self._log)

    async def _open_store(self) -> None:
        store = self._config.store
        self._store: Store = await open_store(
            store.kind,
            ids=self._ids,
            path=store.path,
            dsn=store.dsn,
            observer=StoreMetrics(self._metrics.scoped(service_name="history")),
        )
        self._parts.push_async_callback(self._store.close)

    async def _build_frontend(self) -> Frontend:
        return Frontend(
            history=self._history,
            matching=self._matching,
            visibility=self._store,
            namespaces=self._namespaces,
            search_attributes=self._search_attributes,
            ids=self._ids,
            settings=settings.FRONTEND.build(self._values),
            cluster=ClusterInfo(
                cluster_id=await self._store.cluster_id(),
                persistence_store=self._config.store.kind,
                visibility_store=self._config.store.kind,
                host_name=socket.gethostname(),
            ),
        )

    async def _stop_serving(self, server: RpcServer) -> None:
        self._matching.stop_polls()
        await server.stop(STOP_GRACE_SECONDS)

    async def _stop_history(self) -> None:
        self._history.stop()
        await self._tasks.close()

    def _sample(self) -> None:
        self._matching_metrics.sample(self._matching.statistics())

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
