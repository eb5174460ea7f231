"""A schedule in the simulation: each of its times starts exactly one workflow, whatever fails.

The schedule has a bounded number of actions; what its overlap policy skips is none. Its client
creates it, waits until all of them have been taken and are over, and deletes it. Then the store
must hold one run for each action, which has ended by itself, or as the policy has it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

from temporalio.api.enums.v1 import schedule_pb2 as overlap
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.schedule.v1 import message_pb2 as schedule
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError
from simulation import commands
from simulation.invariants import Runs, status
from simulation.programs import Carried, Kind, Program, Step, encode
from simulation.rpc import Frontend

SCHEDULE_ID = "schedule"
WORKFLOW_ID = "scheduled"
COMPLETED = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
ENDS = {
    overlap.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL: COMPLETED,
    overlap.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL: COMPLETED,
    overlap.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE: COMPLETED,
    overlap.SCHEDULE_OVERLAP_POLICY_SKIP: COMPLETED,
    overlap.SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER: enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
    overlap.SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER: enums.WORKFLOW_EXECUTION_STATUS_TERMINATED,
}
"""The overlap policies, and how what a schedule has started may end but for completing."""
_ACTIONS = "the actions of the schedule"


class ScheduleClient:
    """Creates one schedule, sees it do its work, and deletes it.

    Attributes:
        actions: How many actions the schedule takes.
        taken: The runs of those that were acknowledged, with their workflow ids.
    """

    def __init__(self, *, generator: random.Random, frontend: Frontend, seconds: float) -> None:
        """Makes it.

        Args:
            generator: Draws the schedule.
            frontend: What it calls.
            seconds: For about how long faults happen.
        """
        self.actions = generator.randint(3, 8)
        self._begin_at = generator.uniform(0.0, seconds / 3)
        self._interval = generator.randint(1, max(1, round(seconds / self.actions)))
        self._jitter = generator.choice((0, 0, 1))
        self._policy = generator.choice(list(ENDS))
        self._seconds = generator.choice((1.0, 1.0, 10.0))
        self._frontend = frontend
        self.taken: dict[str, str] = {}

    async def run(self) -> None:
        """Returns when the schedule is deleted."""
        await asyncio.sleep(self._begin_at)
        frontend, history = self._frontend, self._frontend.history
        create = wf.CreateScheduleRequest(
            schedule_id=SCHEDULE_ID, request_id="create", schedule=self._definition()
        )
        await frontend.insist(lambda: history.create_schedule(frontend.namespace, create))
        describe = wf.DescribeScheduleRequest(schedule_id=SCHEDULE_ID)
        while len(self.taken) < self.actions:
            described = await frontend.insist(
                lambda: history.describe_schedule(frontend.namespace, describe)
            )
            recent = [each.start_workflow_result for each in described.info.recent_actions]
            self.taken = {each.run_id: each.workflow_id for each in recent}
            await asyncio.sleep(1.0)
        for workflow_id in self.taken.values():
            await self._wait_for_end(workflow_id)
        delete = wf.DeleteScheduleRequest(schedule_id=SCHEDULE_ID, identity="client")
        try:
            await frontend.insist(lambda: history.delete_schedule(frontend.namespace, delete))
        except NotFoundError:
            frontend.trace.note(SCHEDULE_ID, "had been deleted")

    async def _wait_for_end(self, workflow_id: str) -> None:
        frontend, history = self._frontend, self._frontend.history
        request = wf.DescribeWorkflowExecutionRequest()
        request.execution.workflow_id = workflow_id
        while True:
            described = await frontend.insist(
                lambda: history.describe_workflow_execution(frontend.namespace, request)
            )
            if described.workflow_execution_info.HasField("close_time"):
                return
            await asyncio.sleep(1.0)

    def check(self, runs: Runs) -> Iterator[str]:
        """Yields what is wrong with the runs that the schedule has started."""
        own = [run for run in runs.values() if run.workflow_id.startswith(f"{WORKFLOW_ID}-")]
        if len(own) != self.actions:
            yield f"{_ACTIONS} are {self.actions}, its runs {len(own)}"
        for workflow_id, count in Counter(run.workflow_id for run in own).items():
            if count != 1:
                yield f"{_ACTIONS} include {count} runs of {workflow_id}"
        for run in own:
            if status(run) not in (COMPLETED, ENDS[self._policy]):
                yield f"{_ACTIONS} include {run.run_id}, which ended with status {status(run)}"
        started = {run.run_id for run in own}
        for run_id in self.taken:
            if run_id not in started:
                yield f"{_ACTIONS} include {run_id}, which was acknowledged and does not exist"

    def _definition(self) -> schedule.Schedule:
        definition = schedule.Schedule()
        spec, state = definition.spec, definition.state
        spec.interval.add().interval.seconds = self._interval
        spec.jitter.seconds = self._jitter
        definition.policies.overlap_policy = self._policy
        state.limited_actions, state.remaining_actions = True, self.actions
        action = definition.action.start_workflow
        action.workflow_id = WORKFLOW_ID
        action.workflow_type.name = commands.WORKFLOW_TYPE
        action.task_queue.name = commands.TASK_QUEUE
        steps = (Step(kind=Kind.TIMER, seconds=self._seconds),)
        program = Program(steps=steps, obeys_cancel=True)
        action.input.CopyFrom(commands.raw_payloads(encode(program, Carried())))
        return definition
