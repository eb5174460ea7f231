"""What is told of a task queue by version, where no worker is versioned."""

from typing import Any

from temporalio.api.workflowservice import v1 as wf

from conformance.driver import Driver, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_ENHANCED = "DESCRIBE_TASK_QUEUE_MODE_ENHANCED"
_TYPES = {0: "unspecified", 1: "workflow", 2: "activity", 3: "nexus"}


async def _describe(driver: Driver, **fields: Any) -> Any:
    defaults = {
        "namespace": NAMESPACE,
        "task_queue": {"name": driver.queue},
        "api_mode": _ENHANCED,
        "report_stats": True,
        "report_task_reachability": True,
        "report_pollers": True,
    }
    request = build(wf.DescribeTaskQueueRequest, **defaults | fields)
    return await call(driver.env, request, wf.DescribeTaskQueueResponse)


def _shown(described: wf.DescribeTaskQueueResponse) -> Any:
    return {
        version or "unversioned": {
            "reachability": info.task_reachability,
            "types": {
                _TYPES[number]: {
                    "backlog": types.stats.approximate_backlog_count,
                    "stats": types.HasField("stats"),
                    "pollers": [poller.identity for poller in types.pollers],
                }
                for number, types in sorted(info.types_info.items())
            },
        }
        for version, info in sorted(described.versions_info.items())
    }


_SELECTIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no reachability": {"report_task_reachability": False},
    "nothing": {"versions": {}},
    "unversioned": {"versions": {"unversioned": True}},
    "build": {"versions": {"build_ids": ["build"]}},
    "builds and unversioned": {"versions": {"build_ids": ["a", "b"], "unversioned": True}},
    "unversioned by name": {"versions": {"build_ids": [""]}},
    "all active": {"versions": {"all_active": True}},
    "all active and build": {"versions": {"all_active": True, "build_ids": ["build"]}},
    "nexus": {"task_queue_types": ["TASK_QUEUE_TYPE_NEXUS"]},
    "activities twice": {"task_queue_types": ["TASK_QUEUE_TYPE_ACTIVITY"] * 2},
    "no type": {"task_queue_types": ["TASK_QUEUE_TYPE_UNSPECIFIED"]},
}


@scenario
async def task_queue_versions(env: ScenarioEnv) -> Recording:
    """Versions and types are selected, of a queue that is idle and of one that works."""
    record, driver = env.recording(), Driver(env)
    for name, fields in _SELECTIONS.items():
        await record.call(f"idle: {name}", _describe(driver, **fields), show=_shown)
    await driver.start()
    await driver.step()
    await driver.signal("wake")

    async def waiting() -> bool:
        described = await _describe(driver)
        types = described.versions_info[""].types_info
        return bool(types[1].stats.approximate_backlog_count)

    await until(waiting, what="a backlog")
    for name, fields in _SELECTIONS.items():
        await record.call(f"busy: {name}", _describe(driver, **fields), show=_shown)
    await driver.terminate()
    return record
