"""One server: the engines as the composition root wires them, without gRPC."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.visibility.query import ValueType
from perdure.core.workflow.settings import MEBIBYTE, WorkflowSettings
from perdure.history.engine import HistoryEngine
from perdure.history.ports import HistorySettings, NamespaceInfo, SilentObserver
from perdure.history.shards import SoleOwner
from perdure.matching.engine import MatchingEngine
from perdure.matching.settings import MatchingSettings
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded, Namespace
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.tasks import TaskSet
from simulation.loop import Process
from simulation.store import StoreSession
from simulation.trace import Trace

DAY_NANOSECONDS = 24 * 3600 * 1_000_000_000
DRAIN_SECONDS = 5.0


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


class Node:
    """A server process.

    Attributes:
        process: What it dies with.
    """

    def __init__(
        self,
        *,
        process: Process,
        namespace: Namespace,
        session: StoreSession,
        clock: Clock,
        ids: Ids,
        generator: random.Random,
        trace: Trace,
    ) -> None:
        self.process = process
        self._namespace = namespace
        self._session = session
        self._clock = clock
        self._ids = ids
        self._generator = generator
        self._trace = trace
        self._tasks = TaskSet(on_error=self._on_error)
        self._roles: dict[str, object] = {}

    async def start(self) -> None:
        """Builds the engines and takes over the shard.

        Raises:
            StoreError: The store cannot be reached.
        """
        await self._inside(self._start())

    async def stop(self) -> None:
        """Shuts down in good order."""
        await self._inside(self._stop())

    def kill(self) -> None:
        """Ends the process without warning."""
        self.process.alive = False
        self._session.die()

    def handler(self, role: str, method: str) -> Callable[..., Any]:
        """Returns what answers an RPC."""
        answer: Callable[..., Any] = getattr(self._roles[role], method)
        return answer

    async def _inside(self, coroutine: Any) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_task(coroutine, context=self.process.context())

    async def _start(self) -> None:
        store: Any = self._session
        incarnation = await store.incarnation()
        owner = SoleOwner(store=store, node_id=self.process.name)
        matching = MatchingEngine(
            store=store,
            clock=self._clock,
            ids=self._ids,
            settings=_matching_settings(self._generator),
            incarnation=incarnation,
            on_error=self._on_error,
        )
        history = HistoryEngine(
            store=store,
            matching=matching,
            namespaces=OneNamespace(self._namespace),
            clock=self._clock,
            ids=self._ids,
            tasks=self._tasks,
            settings=_history_settings(self._generator),
            observer=SilentObserver(),
            authority=owner,
            incarnation=incarnation,
        )
        matching.attach_history(history)
        await owner.begin(history.shards)
        self._history = history
        self._matching = matching
        self._roles = {"history": history, "frontend": _Frontend(self._namespace, matching)}

    async def _stop(self) -> None:
        self._matching.stop_polls()
        self._history.stop()
        await self._matching.close()
        await self._tasks.close(drain_seconds=DRAIN_SECONDS)

    def _on_error(self, name: str, error: BaseException) -> None:
        self._trace.violation(f"background task {name!r} died: {error!r}")


class _Frontend:
    """The part of the frontend that only passes requests on to matching."""

    def __init__(self, namespace: Namespace, matching: MatchingEngine) -> None:
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


def _history_settings(generator: random.Random) -> HistorySettings:
    """Draws limits, small ones too, so that what they bound happens."""
    return HistorySettings(
        workflow=WorkflowSettings(max_buffered_events=generator.choice((2, 100))),
        cache_bytes=generator.choice((1, 8 * 1024, 256 * MEBIBYTE)),
        tail_bytes=generator.choice((0, 1_000, 128 * 1024)),
        commit_batch=generator.choice((1, 3, 256)),
        page_batches=generator.choice((2, 256)),
        timer_horizon=generator.choice((1.0, 60.0)),
        timer_batch=generator.choice((1, 1_000)),
        concurrent_timers=generator.choice((1, 100)),
    )


def _matching_settings(generator: random.Random) -> MatchingSettings:
    held, page = generator.choice(((2, 1), (3, 2), (1_000, 200)))
    return MatchingSettings(held_tasks_per_queue=held, page_size=page)
