"""A server process, and the kind that is alone on its store.

The engines are wired as the composition root wires them; clients reach them without gRPC.
"""

import asyncio
import random
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NamespaceNotFoundError
from perdure.core.visibility.query import ValueType
from perdure.core.workflow.settings import MEBIBYTE, WorkflowSettings
from perdure.history.engine import HistoryEngine
from perdure.history.ports import HistorySettings, NamespaceInfo, SilentObserver
from perdure.history.shards import ShardAuthority, SoleOwner
from perdure.matching.engine import MatchingEngine
from perdure.matching.settings import MatchingSettings
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import (
    Encoded,
    MatchingClient,
    MatchingNode,
    Namespace,
)
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.partitions.client import PartitionedMatching
from perdure.runtime.ports import Ids
from perdure.runtime.tasks import TaskSet
from simulation.clock import SimulatedClock
from simulation.loop import Process
from simulation.network import Network
from simulation.store import StoreSession
from simulation.trace import Trace

DAY_NANOSECONDS = 24 * 3600 * 1_000_000_000
DRAIN_SECONDS = 5.0
STOP_GRACE_SECONDS = 3.0
"""As the server's own."""
PUBLIC_PORT = 7233


class OneNamespace:
    """A `NamespaceDirectory` that knows one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        attributes: Mapping[str, ValueType] = {}
        self._id = namespace.id
        self._info = NamespaceInfo(namespace.name, DAY_NANOSECONDS, attributes)

    def info(self, namespace_id: str) -> NamespaceInfo:
        """Returns the namespace."""
        assert namespace_id == self._id
        return self._info

    def find(self, name: str) -> str:
        """Returns the namespace's id."""
        if name != self._info.name:
            raise NamespaceNotFoundError(name)
        return self._id


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every process of a run is put into.

    Attributes:
        namespace: The only one.
        network: Where it listens.
        generator: Draws its settings.
        trace: The journal.
        partitions: How many partitions a task queue has.
    """

    namespace: Namespace
    network: Network
    generator: random.Random
    trace: Trace
    partitions: int


@dataclass(slots=True, kw_only=True)
class Machine:
    """A host, on which one process runs after the other.

    Attributes:
        host: Its name.
        roles: What its processes do.
        clock: Its clocks.
        ids: Where its processes' identifiers come from.
        starts: How many processes were started.
        node: The process that serves.
        busy: Whether something is done to it that must end first.
    """

    host: str
    roles: frozenset[str]
    clock: SimulatedClock
    ids: Ids
    starts: int = 0
    node: "Node | None" = None
    busy: bool = False


class Node:
    """A server process.

    Attributes:
        process: What it dies with.
        session: Its connection to the store.
    """

    def __init__(
        self, *, machine: Machine, session: StoreSession, process: Process, around: Surroundings
    ) -> None:
        self.process = process
        self.session = session
        self._store: Any = session
        self._machine = machine
        self._around = around
        self._trace = around.trace
        # Background tasks belong to the process in which their group was made.
        self._tasks = process.context().run(lambda: TaskSet(on_error=self._on_error))
        self._public: dict[str, object] = {}

    async def start(self) -> None:
        """Builds the roles and serves.

        Raises:
            StoreError: The store cannot be reached.
            StartupError: The cluster does not take it in.
        """
        await self._inside(self._start())

    async def stop(self) -> None:
        """Shuts down in good order."""
        await self._inside(self._stop())

    def kill(self) -> None:
        """Ends the process without warning."""
        self.process.alive = False
        self.session.die()

    def handler(self, role: str, method: str) -> Callable[..., Any]:
        """Returns what answers a client."""
        answer: Callable[..., Any] = getattr(self._public[role], method)
        return answer

    async def _inside(self, coroutine: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_task(coroutine, context=self.process.context())

    async def _start(self) -> None:
        raise NotImplementedError

    async def _stop(self) -> None:
        raise NotImplementedError

    @property
    def _address(self) -> str:
        return f"{self._machine.host}:{PUBLIC_PORT}"

    def _serve(self, history: HistoryClient, node: MatchingNode) -> None:
        partitions = self._around.partitions
        matching: MatchingClient = node
        if partitions > 1:
            matching = PartitionedMatching(
                node,
                read_partitions=partitions,
                partitions=partitions,
                move_seconds=MatchingSettings().poll_move,
                random=self._machine.ids.random,
            )
        front = _Frontend(self._around.namespace, matching)
        self._public = {"history": history, "frontend": front}
        self._around.network.listen(self._address, self)

    def _make_matching(self, incarnation: str) -> MatchingEngine:
        return MatchingEngine(
            store=self._store,
            clock=self._machine.clock,
            ids=self._machine.ids,
            settings=_matching_settings(self._around),
            incarnation=incarnation,
            on_error=self._on_error,
        )

    def _make_history(
        self, incarnation: str, matching: MatchingClient, authority: ShardAuthority
    ) -> HistoryEngine:
        return HistoryEngine(
            store=self._store,
            matching=matching,
            namespaces=OneNamespace(self._around.namespace),
            clock=self._machine.clock,
            ids=self._machine.ids,
            tasks=self._tasks,
            settings=_history_settings(self._around),
            observer=SilentObserver(),
            authority=authority,
            incarnation=incarnation,
        )

    def _on_error(self, name: str, error: BaseException) -> None:
        where = "".join(traceback.format_exception(error)[-3:])
        self._trace.violation(f"background task {name!r} died: {error!r}\n{where}")


class SoleNode(Node):
    """A process that is alone on its store."""

    async def _start(self) -> None:
        incarnation = await self._store.incarnation()
        owner = SoleOwner(store=self._store, node_id=self.process.name)
        self._matching = matching = self._make_matching(incarnation)
        self._history = history = self._make_history(incarnation, matching, owner)
        matching.attach_history(history)
        await owner.begin(history.shards)
        self._serve(history, matching)

    async def _stop(self) -> None:
        self._matching.stop_polls()
        await self._around.network.close(self._address, STOP_GRACE_SECONDS)
        self._history.stop()
        await self._matching.close()
        await self._tasks.close(drain_seconds=DRAIN_SECONDS)


class _Frontend:
    """The part of the frontend that only passes requests on to matching."""

    def __init__(self, namespace: Namespace, matching: MatchingClient) -> None:
        self._namespace = namespace
        self._matching = matching

    async def poll_workflow_task_queue(
        self, request: wf.PollWorkflowTaskQueueRequest, timeout_seconds: float
    ) -> Encoded:
        """Waits for a workflow task."""
        return await self._matching.poll_workflow_task_queue(
            self._namespace, request, timeout_seconds
        )

    async def poll_activity_task_queue(
        self, request: wf.PollActivityTaskQueueRequest, timeout_seconds: float
    ) -> Encoded:
        """Waits for an activity task."""
        return await self._matching.poll_activity_task_queue(
            self._namespace, request, timeout_seconds
        )

    async def respond_query_task_completed(
        self, request: wf.RespondQueryTaskCompletedRequest
    ) -> None:
        """Passes a query's answer on."""
        token = stored.TaskToken.FromString(request.task_token)
        await self._matching.respond_query_task_completed(token.query_task_id, request)


def _history_settings(around: Surroundings) -> HistorySettings:
    """Draws limits, small ones too, so that what they bound happens."""
    generator = around.generator
    return HistorySettings(
        workflow=WorkflowSettings(
            max_buffered_events=generator.choice((2, 100)), write_partitions=around.partitions
        ),
        cache_bytes=generator.choice((1, 8 * 1024, 256 * MEBIBYTE)),
        tail_bytes=generator.choice((0, 1_000, 128 * 1024)),
        commit_batch=generator.choice((1, 3, 256)),
        page_batches=generator.choice((2, 256)),
        timer_horizon=generator.choice((1.0, 60.0)),
        timer_batch=generator.choice((1, 1_000)),
        concurrent_timers=generator.choice((1, 100)),
    )


def _matching_settings(around: Surroundings) -> MatchingSettings:
    held, page = around.generator.choice(((2, 1), (3, 2), (1_000, 200)))
    return MatchingSettings(
        held_tasks_per_queue=held,
        page_size=page,
        read_partitions=around.partitions,
        write_partitions=around.partitions,
    )
