"""What is told of a task queue with tasks that wait, in both modes."""

from typing import Any

from temporalio.api.workflowservice import v1 as wf

from conformance.driver import WORKER, Driver, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_WORKFLOW, _ACTIVITY = 1, 2


async def _describe(driver: Driver, **fields: Any) -> wf.DescribeTaskQueueResponse:
    request = build(
        wf.DescribeTaskQueueRequest,
        **{"namespace": NAMESPACE, "task_queue": {"name": driver.queue}} | fields,
    )
    return await call(driver.env, request, wf.DescribeTaskQueueResponse)


@scenario
async def task_queue_backlog(env: ScenarioEnv) -> Recording:
    """Tasks that wait are counted, in all and by priority, until they are taken."""
    record, driver = env.recording(), Driver(env)
    others = [Driver(env, workflow=f"wf-{number}") for number in range(2)]
    await driver.start()
    await others[0].start(priority={"priority_key": 1})
    await others[1].start(priority={"priority_key": 5})

    async def waiting() -> wf.DescribeTaskQueueResponse | None:
        described = await _describe(driver, report_stats=True)
        return described if described.stats.approximate_backlog_count == len(others) + 1 else None

    described = await until(waiting, what="three tasks in the backlog")
    record.note("by priority", _by_priority(described))
    record.note("pollers", len(described.pollers))
    record.note("age is set", described.stats.HasField("approximate_backlog_age"))
    record.note("stats unasked", (await _describe(driver)).HasField("stats"))
    enhanced = await _describe(
        driver, api_mode="DESCRIBE_TASK_QUEUE_MODE_ENHANCED", report_stats=True
    )
    record.note(
        "enhanced",
        {
            version: {
                number: types.stats.approximate_backlog_count
                for number, types in sorted(info.types_info.items())
            }
            for version, info in enhanced.versions_info.items()
        },
    )
    for _ in range(len(others) + 1):
        await driver.poll()

    async def taken() -> wf.DescribeTaskQueueResponse | None:
        found = await _describe(driver, report_stats=True)
        return None if found.stats.approximate_backlog_count else found

    record.note("by priority, taken", _by_priority(await until(taken, what="an empty backlog")))
    polled = await _describe(
        driver,
        api_mode="DESCRIBE_TASK_QUEUE_MODE_ENHANCED",
        task_queue_types=[_WORKFLOW, _ACTIVITY],
        report_pollers=True,
    )
    types = polled.versions_info[""].types_info
    record.note(
        "enhanced pollers",
        {number: [each.identity == WORKER for each in types[number].pollers] for number in types},
    )
    for each in (driver, *others):
        await each.terminate()
    return record


def _by_priority(described: wf.DescribeTaskQueueResponse) -> dict[int, int]:
    stats = described.stats_by_priority_key
    return {key: stats[key].approximate_backlog_count for key in sorted(stats)}
