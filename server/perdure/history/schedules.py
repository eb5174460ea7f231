"""What clients do with schedules."""

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import RunKey
from perdure.core.errors import NotFoundError
from perdure.core.protobuf import timestamp_ns
from perdure.core.schedule import rows, transitions
from perdure.core.schedule.state import ScheduleRows, workflow_id
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.history.execution import Executor
from perdure.rpc.clients import Namespace

MOST_MATCHING_TIMES = 1000


class Schedules:
    """Creates, describes, changes and ends schedules."""

    def __init__(self, *, executor: Executor) -> None:
        self._executor = executor

    async def create(
        self, namespace: Namespace, request: wf.CreateScheduleRequest
    ) -> wf.CreateScheduleResponse:
        """Creates a schedule."""
        name = workflow_id(request.schedule_id)

        def act(step: Step) -> bytes:
            key = RunKey(namespace.id, name, step.context.ids.run_id())
            return transitions.create(step, key, request)

        token = await self._executor.start(namespace.id, name, act, assume_new=True)
        return wf.CreateScheduleResponse(conflict_token=token)

    async def describe(
        self, namespace: Namespace, request: wf.DescribeScheduleRequest
    ) -> wf.DescribeScheduleResponse:
        """Describes a schedule."""
        return await self._executor.observe(
            _key(namespace, request.schedule_id),
            lambda _, run: rows.describe(run, _readable(run)),
        )

    async def matching_times(
        self, namespace: Namespace, request: wf.ListScheduleMatchingTimesRequest
    ) -> wf.ListScheduleMatchingTimesResponse:
        """Returns the times of a schedule in a range."""
        start, end = timestamp_ns(request.start_time), timestamp_ns(request.end_time)
        found = await self._executor.observe(
            _key(namespace, request.schedule_id),
            lambda _, run: rows.matching_times(
                run, _readable(run), start, end, MOST_MATCHING_TIMES
            ),
        )
        return wf.ListScheduleMatchingTimesResponse(start_time=found)

    async def patch(
        self, namespace: Namespace, request: wf.PatchScheduleRequest
    ) -> wf.PatchScheduleResponse:
        """Triggers, backfills, pauses or unpauses a schedule."""

        def act(step: Step, run: Run) -> None:
            _require_open(run)
            transitions.patch(step.edit(run), request)

        await self._executor.update(_key(namespace, request.schedule_id), act)
        return wf.PatchScheduleResponse()

    async def update(
        self, namespace: Namespace, request: wf.UpdateScheduleRequest
    ) -> wf.UpdateScheduleResponse:
        """Replaces a schedule's definition."""

        def act(step: Step, run: Run) -> None:
            _require_open(run)
            transitions.update(step.edit(run), request)

        await self._executor.update(_key(namespace, request.schedule_id), act)
        return wf.UpdateScheduleResponse()

    async def delete(
        self, namespace: Namespace, request: wf.DeleteScheduleRequest
    ) -> wf.DeleteScheduleResponse:
        """Ends a schedule."""

        def act(step: Step, run: Run) -> None:
            _require_open(run)
            transitions.delete(step.edit(run), request.identity)

        await self._executor.update(_key(namespace, request.schedule_id), act)
        return wf.DeleteScheduleResponse()


def _key(namespace: Namespace, schedule_id: str) -> RunKey:
    return RunKey(namespace.id, workflow_id(schedule_id), "")


def _readable(run: Run) -> ScheduleRows:
    if run.schedule is None or not run.is_running:
        raise NotFoundError("schedule not found")
    return run.schedule


def _require_open(run: Run) -> None:
    if not run.is_running:
        raise NotFoundError("workflow execution already completed")
    if run.schedule is None:
        raise NotFoundError("schedule not found")
