"""The client of the load generator: starts a workflow, signals it, waits for its result.

Waiting is what `result()` of the official SDKs does: a long poll of the history for the close
event. Its RPC counts, and its answer ends the measured latency, for every target alike.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

from temporalio.api.common.v1.message_pb2 import WorkflowExecution
from temporalio.api.enums.v1.event_type_pb2 import EventType
from temporalio.api.workflowservice.v1.request_response_pb2 import (
    GetWorkflowExecutionHistoryResponse,
    StartWorkflowExecutionResponse,
)

from bench import requests
from bench.errors import BenchError
from bench.rpcs import Rpcs
from bench.scenarios import Scenario

WORKFLOW_TIMEOUT_S = 120.0


class Client:
    """Runs workflows of one scenario, one or many at a time."""

    def __init__(
        self, *, scenario: Scenario, rpcs: Rpcs, prefix: str, on_done: Callable[[], None]
    ) -> None:
        """Prepare the requests.

        Args:
            scenario: What to run.
            rpcs: Where to run it.
            prefix: Start of the workflow ids, unique to this client.
            on_done: Called after every workflow.
        """
        self._rpcs = rpcs
        self._signals = scenario.signals
        self._on_done = on_done
        self._start = requests.start()
        self._signal = requests.signal()
        self._close_event = requests.close_event()
        self._ids = self._workflow_ids(prefix)

    async def run_many(self, workflows: int, *, in_flight: int) -> list[float]:
        """Run workflows, never more than `in_flight` at once; return their latencies in seconds."""
        latencies: list[float] = []
        turns = iter(range(workflows))

        async def lane() -> None:
            for _ in turns:
                latencies.append(await self._timed())
                self._on_done()

        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(in_flight, workflows)):
                lanes.create_task(lane())
        return latencies

    async def _timed(self) -> float:
        workflow_id = next(self._ids)
        begin_s = time.perf_counter()
        try:
            async with asyncio.timeout(WORKFLOW_TIMEOUT_S):
                await self._run(workflow_id)
        except TimeoutError:
            msg = f"workflow {workflow_id} did not complete within {WORKFLOW_TIMEOUT_S:.0f} s"
            raise BenchError(msg) from None
        return time.perf_counter() - begin_s

    async def _run(self, workflow_id: str) -> None:
        request_id = f"{workflow_id}-start".encode()
        started = await self._rpcs.start(self._start.fill(workflow_id.encode(), request_id))
        run_id = StartWorkflowExecutionResponse.FromString(started).run_id
        execution = WorkflowExecution(workflow_id=workflow_id, run_id=run_id).SerializeToString()
        for number in range(self._signals):
            request_id = f"{workflow_id}-signal-{number}".encode()
            await self._rpcs.signal(self._signal.fill(execution, request_id))
        await self._wait_for_result(workflow_id, execution)

    async def _wait_for_result(self, workflow_id: str, execution: bytes) -> None:
        page_token = b""
        while True:
            answer = await self._rpcs.history(self._close_event.fill(execution, page_token))
            page = GetWorkflowExecutionHistoryResponse.FromString(answer)
            if page.history.events:
                break
            page_token = page.next_page_token
        closed = page.history.events[-1].event_type
        if closed != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            msg = f"workflow {workflow_id} ended with {EventType.Name(closed)}"
            raise BenchError(msg)

    @staticmethod
    def _workflow_ids(prefix: str) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"{prefix}-{number:06d}"
