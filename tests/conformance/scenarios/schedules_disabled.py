"""Schedules where the operator wants none."""

from typing import Any

from google.protobuf.message import Message
from temporalio.api.workflowservice import v1 as wf

from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario_with
from conformance.settings import NO_SCHEDULES

_REQUESTS: tuple[tuple[type[Message], type[Message]], ...] = (
    (wf.CreateScheduleRequest, wf.CreateScheduleResponse),
    (wf.DescribeScheduleRequest, wf.DescribeScheduleResponse),
    (wf.UpdateScheduleRequest, wf.UpdateScheduleResponse),
    (wf.PatchScheduleRequest, wf.PatchScheduleResponse),
    (wf.ListScheduleMatchingTimesRequest, wf.ListScheduleMatchingTimesResponse),
    (wf.DeleteScheduleRequest, wf.DeleteScheduleResponse),
    (wf.ListSchedulesRequest, wf.ListSchedulesResponse),
    (wf.CountSchedulesRequest, wf.CountSchedulesResponse),
)


@scenario_with(*NO_SCHEDULES)
async def schedules_disabled(env: ScenarioEnv) -> Recording:
    """Without schedules every request about them is refused, once its namespace is found."""
    record = env.recording()
    for kind, answer in _REQUESTS:
        for where, namespace in {"": NAMESPACE, ", no namespace": "", ", elsewhere": "no"}.items():
            fields: dict[str, Any] = {"namespace": namespace}
            if kind is wf.PatchScheduleRequest:
                fields["patch"] = {"pause": "rest"}
            name = kind.DESCRIPTOR.name.removesuffix("Request") + where
            await record.call(name, call(env, build(kind, **fields), answer))
    return record
