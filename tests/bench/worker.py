"""The worker of the load generator: polls, answers with prepared bytes, executes nothing.

As SDK Core it polls the normal and the sticky queue, polls again before it works on what it got,
asks for the next workflow task in the answer of a completion, and keeps a running workflow's place
in memory. It knows that place by counting the outcomes in the events that it is handed.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from temporalio.api.enums.v1.event_type_pb2 import EventType
from temporalio.api.workflowservice.v1.request_response_pb2 import (
    PollActivityTaskQueueResponse,
    PollWorkflowTaskQueueResponse,
    RespondWorkflowTaskCompletedResponse,
)

from bench import requests
from bench.errors import BenchError
from bench.rpcs import Rpcs
from bench.scenarios import Outcome, Scenario
from bench.wire import Template

POLLERS_PER_QUEUE = 5

OUTCOME_EVENTS = {
    Outcome.NOTHING: EventType.EVENT_TYPE_UNSPECIFIED,
    Outcome.ACTIVITY: EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    Outcome.TIMER: EventType.EVENT_TYPE_TIMER_FIRED,
    Outcome.SIGNAL: EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
}


@dataclass(slots=True)
class Place:
    """How far a workflow has come: commands issued, outcomes seen."""

    issued: int = 0
    seen: int = 0


class Worker:
    """Serves the workflow and activity task queues of one scenario."""

    def __init__(self, *, scenario: Scenario, rpcs: Rpcs, tasks: asyncio.TaskGroup) -> None:
        """Prepare every answer; `tasks` will hold the pollers and the work in hand."""
        self._scenario = scenario
        self._rpcs = rpcs
        self._tasks = tasks
        self._event_type = OUTCOME_EVENTS[scenario.outcome]
        self._batches = requests.batches(scenario)
        self._completion = requests.completion()
        self._nothing = requests.workflow_task_completed()
        self._activity_completed = requests.activity_completed()
        self._places: dict[str, Place] = {}

    def start(self) -> list[asyncio.Task[None]]:
        """Start the pollers of every queue that the scenario uses; cancel them to stop."""
        return [
            self._tasks.create_task(poll)
            for _ in range(POLLERS_PER_QUEUE)
            for poll in self._polls()
        ]

    def _polls(self) -> Iterator[Coroutine[Any, Any, None]]:
        for queue in (requests.NORMAL, requests.STICKY):
            yield self._poll_workflows(requests.poll_workflow(queue))
        if self._scenario.outcome is Outcome.ACTIVITY:
            yield self._poll_activities(requests.poll_activity())

    async def _poll_workflows(self, request: bytes) -> None:
        while True:
            response = await self._rpcs.poll_workflow(request)
            task = PollWorkflowTaskQueueResponse.FromString(response)
            if task.task_token:
                self._tasks.create_task(self._work_on(task))

    async def _poll_activities(self, request: bytes) -> None:
        while True:
            response = await self._rpcs.poll_activity(request)
            token = PollActivityTaskQueueResponse.FromString(response).task_token
            if token:
                self._tasks.create_task(self._complete_activity(token))

    async def _complete_activity(self, token: bytes) -> None:
        await self._rpcs.complete_activity(self._activity_completed.fill(token))

    async def _work_on(self, task: PollWorkflowTaskQueueResponse) -> None:
        while task.task_token:
            request = self._answer(task).fill(task.task_token)
            response = await self._rpcs.complete_workflow_task(request)
            task = RespondWorkflowTaskCompletedResponse.FromString(response).workflow_task

    def _answer(self, task: PollWorkflowTaskQueueResponse) -> Template:
        """Choose the commands: the scenario's rule, applied to the events of the task."""
        workflow_id = task.workflow_execution.workflow_id
        place = self._places.setdefault(workflow_id, Place())
        self._count_outcomes(task, place)
        if place.seen >= self._scenario.outcomes:
            del self._places[workflow_id]
            return self._completion
        if place.seen == place.issued and self._batches:
            place.issued += self._scenario.width
            return self._batches[place.seen]
        return self._nothing

    def _count_outcomes(self, task: PollWorkflowTaskQueueResponse, place: Place) -> None:
        """Count the outcomes in a task that brings the new events, or the whole history."""
        if task.next_page_token:
            msg = f"the history of {task.workflow_execution.workflow_id} came in pages: overload?"
            raise BenchError(msg)
        events = task.history.events
        if events and events[0].event_id == 1:
            place.seen = 0
        wanted = self._event_type
        place.seen += sum(event.event_type == wanted for event in events)
