"""The simulated worker, given tasks by hand: what it answers, and what it finds wrong."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import pytest
from temporalio.api.update.v1 import message_pb2 as update
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


def task(nonce: str, *, updated: bool, admitted: Iterable[str] = ()) -> Task:
    """Returns a start of the first workflow task of a run that waits for a timer.

    Args:
        nonce: What tells the start from others.
        updated: Whether it brings an update.
        admitted: Updates that events bring, since a reset has carried them over.
    """
    maker = HistoryMaker()
    program = Program(steps=(Step(kind=Kind.TIMER, seconds=1.0),))
    data = commands.raw_payloads(encode(program, Carried()))
    maker.add("WORKFLOW_EXECUTION_STARTED", input=data, attempt=1)
    for update_id in admitted:
        asked = updates.request_of("n", "w", update_id, updates.Fate.COMPLETED).request
        maker.add("WORKFLOW_EXECUTION_UPDATE_ADMITTED", request=asked)
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
    answers, violations = give(loop, *tasks)
    nonces = [stored.TaskToken.FromString(answer.task_token).nonce for answer in answers]
    return nonces, violations


def give(loop: SimulatedLoop, *tasks: Task) -> tuple[list[Answer], list[str]]:
    """Returns a worker's answers, and what is wrong with its tasks."""
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
    return server.answers, trace.violations


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


def test_updates_are_read_in_events_and_messages(loop: SimulatedLoop) -> None:
    (answer,), _ = give(loop, task("one", updated=True, admitted=["over"]))
    said = [message.id for message in answer.messages]
    assert said == ["over/accept", "over/complete", "u/accept", "u/complete"]
    acceptance = update.Acceptance.FromString(answer.messages[0].body.value)
    assert acceptance.accepted_request_message_id == "over/request"
    assert acceptance.accepted_request_sequencing_event_id == 2
    assert acceptance.accepted_request.meta.update_id == "over"


def test_an_update_of_an_event_is_answered_once() -> None:
    maker = HistoryMaker()
    for update_id in ("accepted", "rejected"):
        asked = updates.request_of("n", "w", update_id, updates.Fate.COMPLETED_LATER).request
        maker.add("WORKFLOW_EXECUTION_UPDATE_ADMITTED", request=asked)
    state = updates.OpenUpdates()
    state.apply(maker.run.events)
    assert list(state.admitted) == ["accepted", "rejected"]
    maker.add("WORKFLOW_TASK_COMPLETED")
    maker.add("WORKFLOW_EXECUTION_UPDATE_ACCEPTED", protocol_instance_id="accepted")
    state.apply(maker.run.events[2:])
    assert (state.admitted, state.tokens) == ({}, ["accepted"])


@pytest.mark.parametrize("updated", [True, False])
def test_one_start_comes_once(loop: SimulatedLoop, updated: bool) -> None:
    _, violations = work(loop, task("one", updated=updated), task("one", updated=updated))
    assert any("runs twice" in violation for violation in violations)
