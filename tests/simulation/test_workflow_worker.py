"""The simulated worker, given tasks by hand: what it answers, and what it finds wrong."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Namespace
from simulation import commands, updates
from simulation.clock import SimulatedClock
from simulation.faults import FaultPlan
from simulation.histories_sample import HistoryMaker
from simulation.ledger import Ledger
from simulation.loop import SimulatedLoop
from simulation.programs import Carried, Kind, Program, Step, encode
from simulation.rpc import Frontend
from simulation.trace import Trace
from simulation.workflow_worker import WorkflowWorker

Task = wf.PollWorkflowTaskQueueResponse
Answer = wf.RespondWorkflowTaskCompletedRequest


class Server:
    """A frontend that gives out tasks, one after the other, and takes every answer."""

    def __init__(self, tasks: Iterable[Task], trace: Trace) -> None:
        self.namespace = Namespace(id="n", name="n")
        self.generator = random.Random(1)
        self.trace = trace
        self.front = self.history = self
        self.answers: list[Answer] = []
        self._tasks = iter(tasks)

    async def once(self, call: Callable[[], Awaitable[object]], **_: float) -> object:
        return await call()

    async def attempt(self, _actor: str, _what: str, call: Callable[[], Awaitable[object]]) -> Any:
        return await call()

    async def poll_workflow_task_queue(
        self, request: wf.PollWorkflowTaskQueueRequest, seconds: float
    ) -> bytes:
        task = None if request.task_queue.normal_name else next(self._tasks, None)
        if task is None:
            await asyncio.sleep(seconds)
            return b""
        return task.SerializeToString()

    async def respond_workflow_task_completed(self, _: Namespace, request: Answer) -> bytes:
        self.answers.append(request)
        return b""


def task(nonce: str, *, updated: bool) -> Task:
    """Returns a start of the first workflow task of a run that waits for a timer."""
    maker = HistoryMaker()
    program = Program(steps=(Step(kind=Kind.TIMER, seconds=1.0),))
    data = commands.raw_payloads(encode(program, Carried()))
    maker.add("WORKFLOW_EXECUTION_STARTED", input=data, attempt=1)
    scheduled = maker.add("WORKFLOW_TASK_SCHEDULED").event_id
    started = maker.add("WORKFLOW_TASK_STARTED", scheduled_event_id=scheduled).event_id
    token = stored.TaskToken(run_id="r", nonce=nonce)
    given = Task(task_token=token.SerializeToString(), started_event_id=started, attempt=1)
    given.workflow_execution.run_id = "r"
    given.history.events.extend(maker.run.events)
    if updated:
        asked = updates.request_of("n", "w", "u", updates.Fate.COMPLETED).request
        given.messages.add(id="u/request").body.Pack(asked)
    return given


def work(loop: SimulatedLoop, *tasks: Task) -> tuple[list[str], list[str]]:
    """Returns the nonces that a worker has answered, and what is wrong with its tasks."""
    trace = Trace(clock=SimulatedClock(loop=loop))
    server = Server(tasks, trace)
    worker = WorkflowWorker(
        name="worker",
        frontend=cast(Frontend, server),
        faults=FaultPlan(),
        ledger=Ledger(trace=trace),
    )

    async def main() -> None:
        running = asyncio.create_task(worker.run(pollers=1))
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.wait([running])

    loop.run_until_complete(main())
    nonces = [stored.TaskToken.FromString(answer.task_token).nonce for answer in server.answers]
    return nonces, trace.violations


def test_a_task_is_answered(loop: SimulatedLoop) -> None:
    assert work(loop, task("one", updated=False)) == (["one"], [])


def test_a_second_task_while_one_is_decided_is_found(loop: SimulatedLoop) -> None:
    answered, violations = work(loop, task("one", updated=False), task("two", updated=False))
    assert answered == ["one"]
    assert any("a second task while one is decided" in violation for violation in violations)


def test_a_task_that_was_lost_is_answered_and_the_server_must_refuse(loop: SimulatedLoop) -> None:
    answered, violations = work(loop, task("one", updated=True), task("two", updated=True))
    assert answered == ["one", "two"]
    # This server takes the second answer as well.
    assert violations == ["task 3 of r was completed twice"]


@pytest.mark.parametrize("updated", [True, False])
def test_one_start_comes_once(loop: SimulatedLoop, updated: bool) -> None:
    _, violations = work(loop, task("one", updated=updated), task("one", updated=updated))
    assert any("runs twice" in violation for violation in violations)
