"""Schedules: specs, life cycle, overlap policies, backfills, listing, and what is refused."""

from collections.abc import Callable, Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import ScheduleOverlapPolicy
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow, fail_workflow
from conformance.driver import Driver, application_failure, payload, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import IDENTITY, NAMESPACE, ScenarioEnv, scenario

Described = wf.DescribeScheduleResponse

SPECS: dict[str, dict[str, Any]] = {
    "empty": {},
    "cron": {"cron_string": ["0 12 * * *"]},
    "cron of seven fields": {"cron_string": ["5 */10 8-17 * * MON-FRI 2030-2090/2"]},
    "cron with a zone and a comment": {"cron_string": ["CRON_TZ=Europe/Berlin 0 1 1 1 * # year"]},
    "daily": {"cron_string": ["@daily"]},
    "weekly": {"cron_string": [" @weekly "]},
    "every": {"cron_string": ["@every 1h/5m"]},
    "every part of a second": {"cron_string": ["@every 1.5s"]},
    "two sundays": {"cron_string": ["*/15 * * * SUN,7"]},
    "week to sunday": {"cron_string": ["0 0 * * 1-7/2"]},
    "saturday to sunday": {"cron_string": ["0 0 * * 6-7"]},
    "names": {"cron_string": ["0 0 * jan,Decem tuesday"]},
    "calendar": {"calendar": [{"hour": "5", "year": "2030/2", "comment": "why"}]},
    "structured": {"structured_calendar": [{"hour": [{"start": 5}], "comment": "c"}]},
    "excluded": {
        "interval": [{"interval": {"seconds": 3600}, "phase": {"seconds": 60}}],
        "exclude_calendar": [{"hour": "5"}],
        "exclude_structured_calendar": [{"hour": [{"start": 6, "end": 9, "step": 2}]}],
    },
    "four fields": {"cron_string": ["5 4 * *"]},
    "eight fields": {"cron_string": ["* * * * * * * *"]},
    "unknown name": {"cron_string": ["@foo"]},
    "zone only": {"cron_string": ["CRON_TZ=Europe/Berlin"]},
    "minute 60": {"cron_string": ["60 * * * *"]},
    "question mark": {"cron_string": ["1,2 3/4 * * ?"]},
    "end before start": {"cron_string": ["5-1 * * * *"]},
    "two dashes": {"cron_string": ["1-2-3 * * * *"]},
    "two slashes": {"cron_string": ["1/2/3 * * * *"]},
    "step zero": {"cron_string": ["*/0 * * * *"]},
    "every nothing": {"cron_string": ["@every"]},
    "every x": {"cron_string": ["@every x"]},
    "every zero": {"cron_string": ["@every 0s"]},
    "phase too large": {"cron_string": ["@every 1h/2h"]},
    "negative phase": {"interval": [{"interval": {"seconds": 9}, "phase": {"seconds": -1}}]},
    "no interval": {"interval": [{}]},
    "unknown zone": {"timezone_name": "Mars/X"},
    "bad zone data": {"timezone_data": b"x"},
    "two zones": {"cron_string": ["TZ=Asia/Tokyo 0 1 * * *"], "timezone_name": "Asia/Seoul"},
    "structured end": {"structured_calendar": [{"hour": [{"start": 5, "end": 3}]}]},
    "structured start": {"structured_calendar": [{"day_of_week": [{"start": 7}]}]},
    "structured step": {"structured_calendar": [{"hour": [{"start": 5, "step": -1}]}]},
    "structured year": {"structured_calendar": [{"year": [{"start": 5}]}]},
}


class Schedule:
    """One schedule and the worker of what it starts."""

    def __init__(self, env: ScenarioEnv, stem: str = "schedule") -> None:
        self.env = env
        self.id = env.name(stem)
        self.driver = Driver(env, workflow=f"{stem}-wf", queue=f"{stem}-queue")

    def definition(self, **fields: Any) -> dict[str, Any]:
        """Returns a schedule without times; keyword arguments replace its fields."""
        action = {
            "workflow_id": self.driver.workflow_id,
            "workflow_type": {"name": "Conformance"},
            "task_queue": {"name": self.driver.queue},
            **fields.pop("action", {}),
        }
        return {"action": {"start_workflow": action}, **fields}

    async def create(
        self, *, request: dict[str, Any] | None = None, **fields: Any
    ) -> wf.CreateScheduleResponse:
        """CreateSchedule; `request` replaces fields of the request."""
        defaults: dict[str, Any] = {
            "namespace": NAMESPACE,
            "schedule_id": self.id,
            "identity": IDENTITY,
            "request_id": "create",
            "schedule": self.definition(**fields),
        }
        message = build(wf.CreateScheduleRequest, **defaults | (request or {}))
        return await call(self.env, message, wf.CreateScheduleResponse)

    async def describe(self) -> Described:
        """DescribeSchedule."""
        request = wf.DescribeScheduleRequest(namespace=NAMESPACE, schedule_id=self.id)
        return await call(self.env, request, Described)

    async def patch(self, request_id: str, **fields: Any) -> wf.PatchScheduleResponse:
        """PatchSchedule."""
        request = build(
            wf.PatchScheduleRequest,
            namespace=NAMESPACE,
            schedule_id=self.id,
            identity=IDENTITY,
            request_id=request_id,
            **({"patch": fields} if fields else {}),
        )
        return await call(self.env, request, wf.PatchScheduleResponse)

    async def update(
        self, request_id: str, *, request: dict[str, Any] | None = None, **fields: Any
    ) -> wf.UpdateScheduleResponse:
        """UpdateSchedule; `request` replaces fields of the request."""
        defaults: dict[str, Any] = {
            "namespace": NAMESPACE,
            "schedule_id": self.id,
            "identity": IDENTITY,
            "request_id": request_id,
            "schedule": self.definition(**fields),
        }
        message = build(wf.UpdateScheduleRequest, **defaults | (request or {}))
        return await call(self.env, message, wf.UpdateScheduleResponse)

    async def delete(self) -> wf.DeleteScheduleResponse:
        """DeleteSchedule."""
        request = wf.DeleteScheduleRequest(
            namespace=NAMESPACE, schedule_id=self.id, identity=IDENTITY
        )
        return await call(self.env, request, wf.DeleteScheduleResponse)

    async def matching(self, start: int, end: int) -> wf.ListScheduleMatchingTimesResponse:
        """ListScheduleMatchingTimes."""
        request = build(
            wf.ListScheduleMatchingTimesRequest,
            namespace=NAMESPACE,
            schedule_id=self.id,
            start_time={"seconds": start},
            end_time={"seconds": end},
        )
        return await call(self.env, request, wf.ListScheduleMatchingTimesResponse)

    async def until(self, condition: Callable[[Described], bool], *, what: str) -> Described:
        """Waits until the description says something."""

        async def seen() -> Described | None:
            described = await self.describe()
            return described if condition(described) else None

        return await until(seen, what=what)

    async def events(self, position: int) -> list[HistoryEvent]:
        """Returns the history of the workflow of a recent action."""
        action = (await self.describe()).info.recent_actions[position]
        request = wf.GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE, execution=action.start_workflow_result
        )
        answer = await call(self.env, request, wf.GetWorkflowExecutionHistoryResponse)
        return list(answer.history.events)


def _seconds(answer: wf.ListScheduleMatchingTimesResponse) -> list[int]:
    return [each.seconds for each in answer.start_time]


def _policy(name: str) -> int:
    return ScheduleOverlapPolicy.Value(f"SCHEDULE_OVERLAP_POLICY_{name}")


@scenario
async def schedule_specs(env: ScenarioEnv) -> Recording:
    """Specs, and what Describe makes of them."""
    record = env.recording()
    for number, (name, spec) in enumerate(SPECS.items()):
        schedule = Schedule(env, f"spec{number}")
        created = await record.call(name, schedule.create(spec=spec, state={"paused": True}))
        if created is not None:
            described = await schedule.describe()
            record.note(f"{name}, described", described.schedule.spec)
            await schedule.delete()
    return record


@scenario
async def schedule_matching_times(env: ScenarioEnv) -> Recording:
    """Times across changes to and from daylight-saving time, and the bounds of a range."""
    record = env.recording()
    spring, autumn = 1_741_400_000, 1_762_050_000
    for number, cron in enumerate(["30 2 * * *", "30 1 * * *", "0 */2 * * *"]):
        schedule = Schedule(env, f"dst{number}")
        spec = {"cron_string": [cron], "timezone_name": "America/New_York"}
        await schedule.create(spec=spec, state={"paused": True})
        for name, start in (("spring", spring), ("autumn", autumn)):
            found = await schedule.matching(start, start + 3 * 86_400)
            record.note(f"{cron} in {name}", _seconds(found))
        await schedule.delete()
    schedule = Schedule(env, "bounds")
    bounded: dict[str, Any] = {
        "interval": [{"interval": {"seconds": 10}, "phase": {"seconds": 3}}],
        "calendar": [{"second": "7", "minute": "*", "hour": "*"}],
        "exclude_calendar": [{"second": "23", "minute": "*", "hour": "*"}],
        "start_time": {"seconds": 1_700_000_003},
        "end_time": {"seconds": 1_700_000_163},
    }
    await schedule.create(spec=bounded, state={"paused": True})
    record.note("all", _seconds(await schedule.matching(1_600_000_000, 1_800_000_000)))
    record.note("a part", _seconds(await schedule.matching(1_700_000_033, 1_700_000_053)))
    record.note("none", _seconds(await schedule.matching(1_800_000_000, 1_600_000_000)))
    await schedule.delete()
    return record


@scenario
async def schedule_life(env: ScenarioEnv) -> Recording:
    """A schedule is created, described, paused, updated and deleted."""
    record, schedule = env.recording(), Schedule(env)
    fields: dict[str, Any] = {
        "memo": {"fields": {"note": payload("memo")}},
        "search_attributes": {
            "indexed_fields": {
                "ConformanceKeyword": Payload(metadata={"encoding": b"json/plain"}, data=b'"value"')
            }
        },
    }
    spec = {"interval": [{"interval": {"seconds": 86_400}}]}
    first = schedule.create(spec=spec, state={"notes": "hello"}, request=fields)
    record.note("create", await first)
    again = schedule.create(spec=spec, state={"notes": "hello"}, request=fields)
    await record.call("create, the same request", again)
    other = fields | {"request_id": "other"}
    await record.call("create, another request", schedule.create(request=other))
    record.note("described", await schedule.describe())
    await record.call("pause", schedule.patch("pause", pause="wait"))
    paused = await schedule.until(lambda seen: seen.schedule.state.paused, what="paused")
    record.note("paused", paused)
    old = {"conflict_token": b"\0\0\0\0\0\0\0\1"}
    await record.call("update, old token", schedule.update("old", request=old, state={}))
    token = {"conflict_token": paused.conflict_token, "search_attributes": {}}
    definition = {
        "spec": {"cron_string": ["0 12 * * *"]},
        "action": {"workflow_type": {"name": "Other"}},
        "policies": {"catchup_window": {"seconds": 1}, "pause_on_failure": True},
        "state": {"limited_actions": True, "remaining_actions": 3},
    }
    await record.call("update", schedule.update("new", request=token, **definition))
    changed = await schedule.until(
        lambda seen: not (seen.schedule.state.paused or seen.HasField("search_attributes")),
        what="updated",
    )
    record.note("updated", changed)
    memo = {"memo": {"fields": {"note": payload("other")}}}
    await record.call("update of the memo", schedule.update("memo", request=memo))
    await record.call("delete", schedule.delete())
    await record.call("describe, deleted", schedule.describe())
    await record.call("patch, deleted", schedule.patch("late", pause="x"))
    await record.call("update, deleted", schedule.update("late"))
    await record.call("delete again", schedule.delete())
    await record.call("create once more", schedule.create(request=other))
    await schedule.delete()
    return record


@scenario
async def schedule_triggers(env: ScenarioEnv) -> Recording:
    """A trigger starts a workflow; its result is passed on to the next one."""
    record, schedule = env.recording(), Schedule(env)
    action = {"memo": {"fields": {"q": payload("1")}}, "input": {"payloads": [payload("in")]}}
    await schedule.create(action=action, request={"initial_patch": {"trigger_immediately": {}}})
    await schedule.until(lambda seen: len(seen.info.recent_actions) == 1, what="the first action")
    record.note("running", (await schedule.describe()).info)
    await schedule.driver.step(complete_workflow("result"))
    record.events("first", await schedule.events(0))
    later = {"scheduled_time": {"seconds": 1_700_000_000}}
    await schedule.patch("later", trigger_immediately=later)
    await schedule.until(lambda seen: len(seen.info.recent_actions) == 2, what="the second action")
    record.note("two actions", (await schedule.describe()).info)
    await schedule.driver.step(fail_workflow(application_failure("broken")))
    record.events("second", await schedule.events(1))
    third = {"scheduled_time": {"seconds": 1_700_000_001}}
    await schedule.patch("third", trigger_immediately=third)
    await schedule.until(lambda seen: len(seen.info.recent_actions) == 3, what="the third action")
    record.events("third", await schedule.events(2))
    await schedule.driver.step(complete_workflow())
    await schedule.delete()
    return record


async def _overlap(
    env: ScenarioEnv, policy: str, conditions: Sequence[Callable[[Described], bool]]
) -> Any:
    schedule = Schedule(env, policy.lower().replace("_", "-"))
    await schedule.create(
        policies={"overlap_policy": _policy(policy)},
        request={"initial_patch": {"trigger_immediately": {"scheduled_time": {"seconds": 1}}}},
    )
    await schedule.until(lambda seen: len(seen.info.recent_actions) == 1, what="the first action")
    described = await schedule.describe()
    for number, condition in enumerate(conditions, 2):
        trigger = {"scheduled_time": {"seconds": number}}
        await schedule.patch(str(number), trigger_immediately=trigger)
        described = await schedule.until(condition, what=policy)
    first = described.info.recent_actions[0].start_workflow_result
    events = await _history(env, first.workflow_id, first.run_id)
    await schedule.delete()
    return {"info": described.info, "first": [events[0].event_id, events[-1]]}


async def _history(env: ScenarioEnv, workflow_id: str, run_id: str) -> list[HistoryEvent]:
    request = build(
        wf.GetWorkflowExecutionHistoryRequest,
        namespace=NAMESPACE,
        execution={"workflow_id": workflow_id, "run_id": run_id},
    )
    answer = await call(env, request, wf.GetWorkflowExecutionHistoryResponse)
    return list(answer.history.events)


@scenario
async def schedule_overlaps(env: ScenarioEnv) -> Recording:
    """What each overlap policy does when two more actions come while the first one runs."""
    record = env.recording()
    conditions: dict[str, tuple[Callable[[Described], bool], ...]] = {
        "SKIP": (
            lambda seen: seen.info.overlap_skipped == 1,
            lambda seen: seen.info.overlap_skipped == 2,
        ),
        "BUFFER_ONE": (
            lambda seen: seen.info.buffer_size == 1,
            lambda seen: seen.info.overlap_skipped == 1,
        ),
        "BUFFER_ALL": (
            lambda seen: seen.info.buffer_size == 1,
            lambda seen: seen.info.buffer_size == 2,
        ),
        "ALLOW_ALL": (
            lambda seen: seen.info.action_count == 2,
            lambda seen: seen.info.action_count == 3,
        ),
    }
    for policy, each in conditions.items():
        record.note(policy, await _overlap(env, policy, each))
    return record


@scenario
async def schedule_ends_others(env: ScenarioEnv) -> Recording:
    """A schedule cancels or terminates what runs to make room for the next action."""
    record = env.recording()
    for policy in ("CANCEL_OTHER", "TERMINATE_OTHER"):
        schedule = Schedule(env, policy.lower().replace("_", "-"))
        await schedule.create(
            policies={"overlap_policy": _policy(policy)},
            request={"initial_patch": {"trigger_immediately": {"scheduled_time": {"seconds": 1}}}},
        )
        first = await schedule.until(lambda seen: bool(seen.info.recent_actions), what="an action")
        execution = first.info.recent_actions[0].start_workflow_result
        await schedule.patch("2", trigger_immediately={"scheduled_time": {"seconds": 2}})
        kind = "CANCEL_REQUESTED" if policy == "CANCEL_OTHER" else "TERMINATED"

        async def ended(
            workflow_id: str = execution.workflow_id, run_id: str = execution.run_id
        ) -> list[HistoryEvent] | None:
            events = await _history(env, workflow_id, run_id)
            return events if len(events) > 2 else None

        record.events(f"{policy}, {kind}", await until(ended, what=kind))
        if policy == "TERMINATE_OTHER":
            described = await schedule.until(
                lambda seen: seen.info.action_count == 2, what="the next action"
            )
        else:
            described = await schedule.describe()
        record.note(f"{policy}, described", described.info)
        await schedule.delete()
    return record


@scenario
async def schedule_backfills(env: ScenarioEnv) -> Recording:
    """Backfills take the times of the past, both ends included."""
    record, schedule = env.recording(), Schedule(env)
    await schedule.create(
        spec={"interval": [{"interval": {"seconds": 10}}]},
        state={"paused": True},
        policies={"overlap_policy": _policy("ALLOW_ALL")},
    )
    backfill = {
        "start_time": {"seconds": 1_700_000_000},
        "end_time": {"seconds": 1_700_000_120},
    }
    await schedule.patch("backfill", backfill_request=[backfill])
    described = await schedule.until(lambda seen: seen.info.action_count == 13, what="13 actions")
    times = [each.schedule_time.seconds for each in described.info.recent_actions]
    record.note("recent", times)
    ids = [
        each.start_workflow_result.workflow_id.removeprefix(schedule.driver.workflow_id)
        for each in described.info.recent_actions
    ]
    record.note("distinct ids", len(set(ids)))
    record.note("paused still", described.schedule.state)
    await schedule.delete()
    return record


@scenario
async def schedule_pauses_on_failure(env: ScenarioEnv) -> Recording:
    """A failed action pauses its schedule, and says why; so does one whose time is up."""
    record = env.recording()
    failing = Schedule(env, "failing")
    trigger = {"initial_patch": {"trigger_immediately": {"scheduled_time": {"seconds": 1}}}}
    policies = {"pause_on_failure": True, "overlap_policy": _policy("BUFFER_ALL")}
    await failing.create(policies=policies, request=trigger)
    await failing.driver.step(fail_workflow(application_failure("broken")))
    record.note(
        "failed", await failing.until(lambda seen: seen.schedule.state.paused, what="paused")
    )
    await failing.delete()
    slow = Schedule(env, "slow")
    action = {"workflow_run_timeout": {"seconds": 1}}
    await slow.create(policies=policies, action=action, request=trigger)
    record.note(
        "timed out", await slow.until(lambda seen: seen.schedule.state.paused, what="paused")
    )
    await slow.delete()
    return record
