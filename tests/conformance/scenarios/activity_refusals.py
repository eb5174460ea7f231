"""Operations on activities that are refused."""

from typing import Any

from conformance.commands import (
    schedule_activity,
)
from conformance.driver import Driver
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.scenarios.activity_operations import (
    OPTIONS,
    pause,
    pending,
    reset,
    unpause,
    update_options,
)

_BAD_OPTIONS: dict[str, dict[str, Any]] = {
    "options without mask": {"options": OPTIONS},
    "restore with options": {"options": OPTIONS, "restore_original": True},
    "restore with mask": {
        "update_mask": {"paths": ["heartbeat_timeout"]},
        "restore_original": True,
    },
    "mask without options": {"update_mask": {"paths": ["heartbeat_timeout"]}},
    "mask without queue": {"update_mask": {"paths": ["task_queue.name"]}, "options": {}},
    "mask without policy": {
        "update_mask": {"paths": ["retry_policy.maximum_attempts"]},
        "options": {},
    },
    "negative timeout": {
        "update_mask": {"paths": ["heartbeat_timeout"]},
        "options": {"heartbeat_timeout": {"seconds": -1}},
    },
    "neither timeout": {
        "update_mask": {"paths": ["schedule_to_close_timeout", "start_to_close_timeout"]},
        "options": {"heartbeat_timeout": {"seconds": 1}},
    },
    "empty queue": {
        "update_mask": {"paths": ["task_queue.name"]},
        "options": {"task_queue": {"name": ""}, "heartbeat_timeout": {"seconds": 1}},
    },
    "bad coefficient": {
        "update_mask": {"paths": ["retry_policy.backoff_coefficient"]},
        "options": {"retry_policy": {"backoff_coefficient": 0.5}},
    },
    "negative attempts": {
        "update_mask": {"paths": ["retry_policy.maximum_attempts"]},
        "options": {"retry_policy": {"maximum_attempts": -1}},
    },
    "bad priority": {
        "update_mask": {"paths": ["priority.priority_key"]},
        "options": {"priority": {"priority_key": -1}},
    },
}


@scenario
async def activity_operations_refused(env: ScenarioEnv) -> Recording:
    """What is missing or wrong in operations on activities."""
    record, driver = env.recording(), Driver(env)
    operations = {
        "pause": pause,
        "unpause": unpause,
        "reset": reset,
        "update": update_options,
    }
    missing = {"workflow_id": env.name("missing")}
    await driver.start()
    cases: dict[str, dict[str, Any]] = {
        "nothing is said": {},
        "no execution": {"execution": {}, "id": "a"},
        "no such workflow": {"execution": missing, "id": "a"},
        "bad run id": {"execution": {"workflow_id": driver.workflow_id, "run_id": "x"}, "id": "a"},
        "no such activity": {"id": "nope"},
        "no such type": {"type": "Nope"},
        "empty id": {"id": ""},
        "long id": {"id": "a" * 1001},
        "long workflow id": {"execution": {"workflow_id": "w" * 1001}, "id": "a"},
        "no such namespace": {"namespace": "no-such-namespace", "id": "a"},
        "long identity": {"identity": "i" * 1001, "id": "a"},
    }
    for name, operation in operations.items():
        for case, fields in cases.items():
            await record.call(f"{name}: {case}", operation(driver, **fields))
    for name, operation in {"unpause": unpause}.items():
        await record.call(f"{name}: all of none", operation(driver, unpause_all=True))
    for name, operation in {"reset": reset, "update": update_options}.items():
        await record.call(f"{name}: all of none", operation(driver, match_all=True))
    await driver.step(schedule_activity("a", driver.queue))
    for case, fields in _BAD_OPTIONS.items():
        await record.call(f"options: {case}", update_options(driver, id="a", **fields))
    record.note("described", await pending(driver))
    negative = {"seconds": -1}
    await record.call("pause", pause(driver, id="a"))
    await record.call("unpause: negative jitter", unpause(driver, id="a", jitter=negative))
    await driver.terminate()
    for name, operation in operations.items():
        await record.call(f"{name}: closed workflow", operation(driver, id="a"))
    return record
