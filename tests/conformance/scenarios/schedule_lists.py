"""Schedules in lists, and those that are refused."""

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice import v1 as wf

from conformance.driver import payload, until
from conformance.recording import Recording
from conformance.rpc import call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario
from conformance.scenarios.schedules import Schedule


@scenario
async def schedule_lists(env: ScenarioEnv) -> Recording:
    """Schedules are listed and counted, by what queries may name."""
    record, schedule = env.recording(), Schedule(env)
    attributes = {
        "indexed_fields": {
            "ConformanceKeyword": Payload(
                metadata={"encoding": b"json/plain"}, data=f'"{env.name("mine")}"'.encode()
            )
        }
    }
    await schedule.create(
        spec={"cron_string": ["0 12 * * *"]},
        state={"notes": "noted"},
        request={"memo": {"fields": {"k": payload("v")}}, "search_attributes": attributes},
    )
    other = Schedule(env, "other")
    await other.create(request={"search_attributes": attributes}, state={"paused": True})
    mine = f'ConformanceKeyword = "{env.name("mine")}"'

    async def listed(query: str) -> wf.ListSchedulesResponse:
        request = wf.ListSchedulesRequest(namespace=NAMESPACE, query=query)
        return await call(env, request, wf.ListSchedulesResponse)

    async def both() -> bool:
        found = (await listed(mine)).schedules
        return len(found) == 2 and any(each.info.paused for each in found)

    await until(both, what="both listed")
    shown: Callable[[wf.ListSchedulesResponse], Any] = lambda answer: sorted(  # noqa: E731
        (each for each in answer.schedules), key=lambda each: each.schedule_id
    )
    queries = {
        "all": mine,
        "paused": f"{mine} AND TemporalSchedulePaused = true",
        "by id": f'ScheduleId = "{schedule.id}"',
        "by start of id": f'{mine} AND ScheduleId STARTS_WITH "other"',
        "by status": 'ExecutionStatus = "Running"',
        "by start time": "StartTime > '2020-01-01T00:00:00Z'",
        "by division": "TemporalNamespaceDivision = 'x'",
        "unknown": "Nope = 1",
        "broken": "ScheduleId =",
    }
    for name, query in queries.items():
        await record.call(name, listed(query), show=shown)
        request = wf.CountSchedulesRequest(namespace=NAMESPACE, query=query)
        await record.call(f"{name}, counted", call(env, request, wf.CountSchedulesResponse))
    page = wf.ListSchedulesRequest(namespace=NAMESPACE, query=mine, maximum_page_size=1)
    first = await call(env, page, wf.ListSchedulesResponse)
    page.next_page_token = first.next_page_token
    second = await call(env, page, wf.ListSchedulesResponse)
    found = [each.schedule_id for each in (*first.schedules, *second.schedules)]
    record.note("pages", sorted(found))
    workflows = wf.ListWorkflowExecutionsRequest(
        namespace=NAMESPACE, query=f"WorkflowId = 'temporal-sys-scheduler:{schedule.id}'"
    )
    hidden = await call(env, workflows, wf.ListWorkflowExecutionsResponse)
    record.note("hidden from lists of workflows", len(hidden.executions))
    await schedule.delete()
    await other.delete()
    return record


@scenario
async def invalid_schedules(env: ScenarioEnv) -> Recording:
    """Requests about schedules that are refused."""
    record, schedule = env.recording(), Schedule(env, "invalid")
    actions: dict[str, dict[str, Any]] = {
        "no type": {"workflow_type": {}},
        "no queue": {"task_queue": {}},
        "reserved queue": {"task_queue": {"name": "/_sys/x"}},
        "cron": {"cron_schedule": "* * * * *"},
        "reuse policy": {"workflow_id_reuse_policy": 3},
        "negative timeout": {"workflow_run_timeout": {"seconds": -1}},
        "long workflow id": {"workflow_id": "x" * 1000},
        "unknown attribute": {"search_attributes": {"indexed_fields": {"Nope": {"data": b"1"}}}},
    }
    for name, action in actions.items():
        await record.call(name, schedule.create(action=action))
    requests: dict[str, dict[str, Any]] = {
        "no id": {"schedule_id": ""},
        "long id": {"schedule_id": "x" * 1001},
        "long request id": {"request_id": "x" * 1001},
        "unknown attribute of its own": {
            "search_attributes": {"indexed_fields": {"Nope": {"data": b"1"}}}
        },
        "no namespace": {"namespace": "no-such-namespace"},
    }
    for name, request in requests.items():
        await record.call(name, schedule.create(request=request))
    missing: dict[str, Awaitable[Any]] = {
        "describe": schedule.describe(),
        "patch": schedule.patch("x", pause="x"),
        "patch nothing": schedule.patch("x"),
        "update": schedule.update("x"),
        "update without action": schedule.update("x", request={"schedule": {}}),
        "delete": schedule.delete(),
        "matching times": schedule.matching(1, 2),
    }
    for name, answer in missing.items():
        await record.call(f"{name}, missing", answer)
    return record
