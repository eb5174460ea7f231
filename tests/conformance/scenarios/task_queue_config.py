"""How fast task queues hand out tasks when an operator says so."""

from typing import Any

from temporalio.api.workflowservice import v1 as wf

from conformance.commands import schedule_activity
from conformance.driver import Driver
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import IDENTITY, NAMESPACE, ScenarioEnv, scenario
from conformance.scenarios.cli import temporal
from conformance.scenarios.cli_workers import text

_ACTIVITY = "TASK_QUEUE_TYPE_ACTIVITY"


async def configure(env: ScenarioEnv, **fields: Any) -> wf.UpdateTaskQueueConfigResponse:
    """UpdateTaskQueueConfig of an activity queue."""
    defaults: dict[str, Any] = {
        "namespace": NAMESPACE,
        "identity": IDENTITY,
        "task_queue": env.name("queue"),
        "task_queue_type": _ACTIVITY,
    }
    request = build(wf.UpdateTaskQueueConfigRequest, **defaults | fields)
    return await call(env, request, wf.UpdateTaskQueueConfigResponse)


async def describe(env: ScenarioEnv, **fields: Any) -> wf.DescribeTaskQueueResponse:
    """DescribeTaskQueue of an activity queue."""
    defaults: dict[str, Any] = {
        "namespace": NAMESPACE,
        "task_queue": {"name": env.name("queue")},
        "task_queue_type": _ACTIVITY,
    }
    request = build(wf.DescribeTaskQueueRequest, **defaults | fields)
    return await call(env, request, wf.DescribeTaskQueueResponse)


def limit(rate: float | None, reason: str = "why") -> dict[str, Any]:
    """Returns the update that sets a queue's rate limit, or removes it."""
    update: dict[str, Any] = {"reason": reason}
    if rate is not None:
        update["rate_limit"] = {"requests_per_second": rate}
    return {"update_queue_rate_limit": update}


@scenario
async def task_queue_rate_limit(env: ScenarioEnv) -> Recording:
    """A queue's rate limit is set, changed, seen and removed; it overrides the workers'."""
    record = env.recording()
    await record.call("set", configure(env, **limit(7.5)))
    described = await describe(env, report_config=True)
    record.note("described", [described.config, described.effective_rate_limit])
    record.note("config unasked", (await describe(env)).HasField("config"))
    await record.call("change", configure(env, **limit(0.0, reason="")))
    described = await describe(env, report_config=True)
    record.note("described zero", [described.config, described.effective_rate_limit])
    await record.call("nothing", configure(env))
    await record.call("remove", configure(env, **limit(None)))
    described = await describe(env, report_config=True)
    record.note("described without", described.config)
    await record.call("remove again", configure(env, **limit(None)))
    await record.call(
        "of workflows", configure(env, task_queue_type="TASK_QUEUE_TYPE_WORKFLOW", **limit(3.0))
    )
    other = await describe(env, task_queue_type="TASK_QUEUE_TYPE_WORKFLOW", report_config=True)
    record.note("described workflows", [other.config, other.effective_rate_limit])
    return record


@scenario
async def task_queue_rate_limit_holds(env: ScenarioEnv) -> Recording:
    """A limit of zero holds tasks back from a poller that waits, until it is removed."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await record.call("stop", configure(env, **limit(0.0)))
    await driver.step(schedule_activity("a", driver.queue))
    poll = build(
        wf.PollActivityTaskQueueRequest, namespace=NAMESPACE, task_queue={"name": driver.queue}
    )
    held = await call(env, poll, wf.PollActivityTaskQueueResponse, timeout=3)
    record.note("task while stopped", bool(held.task_token))
    await record.call("go", configure(env, **limit(None)))
    record.note("task", (await driver.poll_activity()).activity_id)
    await driver.terminate()
    return record


@scenario
async def task_queue_config_refused(env: ScenarioEnv) -> Recording:
    """Configurations that a queue cannot have."""
    record = env.recording()
    cases: dict[str, dict[str, Any]] = {
        "no queue": {"task_queue": "", **limit(1.0)},
        "no type": {"task_queue_type": 0, **limit(1.0)},
        "nexus": {"task_queue_type": "TASK_QUEUE_TYPE_NEXUS", **limit(1.0)},
        "negative": limit(-1.0),
        "nowhere": {"namespace": "no-such-namespace", **limit(1.0)},
        "long identity": {"identity": "i" * 1001, **limit(1.0)},
        "long reason": limit(1.0, "r" * 1001),
        "long queue": {"task_queue": "q" * 1001, **limit(1.0)},
        "reserved queue": {"task_queue": "/_sys/queue", **limit(1.0)},
    }
    for case, fields in cases.items():
        await record.call(case, configure(env, **fields))
    return record


@scenario
async def task_queue_fairness(env: ScenarioEnv) -> Recording:
    """Fairness keys: a default limit and weights."""
    record = env.recording()
    rate = {"rate_limit": {"requests_per_second": 2.0}, "reason": "fair"}
    await record.call("key limit", configure(env, update_fairness_key_rate_limit_default=rate))
    await record.call("weights", configure(env, set_fairness_weight_overrides={"key": 2.0}))
    await record.call("unset", configure(env, unset_fairness_weight_overrides=["key"]))
    return record


@scenario
async def cli_task_queue(env: ScenarioEnv) -> Recording:
    """Describe, list partitions, get and set the configuration."""
    record, driver = env.recording(), Driver(env)
    queue = f"--task-queue={driver.queue}"
    typed = (queue, "--task-queue-type=activity")
    record.note("get unset", await temporal(env, "task-queue", "config", "get", *typed))
    rate = ("--queue-rps-limit=5", "--queue-rps-limit-reason=why", "--identity=me")
    record.note("set", await temporal(env, "task-queue", "config", "set", *typed, *rate))
    record.note("get", await temporal(env, "task-queue", "config", "get", *typed))
    record.note("get, as text", await text(env, "task-queue", "config", "get", *typed))
    remove = "--queue-rps-limit=default"
    record.note("remove", await temporal(env, "task-queue", "config", "set", *typed, remove))
    record.note("describe", await temporal(env, "task-queue", "describe", *typed))
    partitions = await temporal(env, "task-queue", "list-partition", queue)
    record.note("partitions", {kind: len(found) > 0 for kind, found in partitions.items()})
    return record
