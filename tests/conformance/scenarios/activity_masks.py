"""The masks of options of activities, by the RPC that takes one activity."""

from typing import Any

from temporalio.api.workflowservice import v1 as wf

from conformance.commands import schedule_activity
from conformance.driver import Driver
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import IDENTITY, NAMESPACE, ScenarioEnv, scenario

_OPTIONS = {"heartbeat_timeout": {"seconds": 3}}
_FULL = {
    "heartbeat_timeout": {"seconds": 3},
    "schedule_to_close_timeout": {"seconds": 60},
    "start_to_close_timeout": {"seconds": 10},
    "task_queue": {"name": "other"},
    "retry_policy": {"backoff_coefficient": 2.0, "maximum_attempts": 3},
    "priority": {"priority_key": 2},
}
_MASK = {"paths": ["heartbeat_timeout"]}


_NAMES = (
    "nothing",
    "heartbeatTimeout",
    "heartbeat_timeout.seconds",
    "task_queue",
    "task_queue.name",
    "retry_policy",
    "retry_policy.maximum_attempts",
    "retryPolicy.maximumAttempts",
    "retry_policy.non_retryable_error_types",
    "retry_policy.nothing",
    "priority",
    "priority.priority_key",
    "priority.fairness_weight",
    "schedule_to_close_timeout",
    "start_delay",
    "*",
    "",
)


def _naming(*names: str) -> dict[str, Any]:
    return {"activity_options": _FULL, "update_mask": {"paths": names}}


@scenario
async def activity_masks(env: ScenarioEnv) -> Recording:
    """A mask is absent, empty, or comes with the original options."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue))
    cases: dict[str, dict[str, Any]] = {
        "options without mask": {"activity_options": _OPTIONS},
        "options with empty mask": {"activity_options": _OPTIONS, "update_mask": {}},
        "no options, empty mask": {"activity_options": {}, "update_mask": {}},
        "mask without options": {"update_mask": _MASK},
        "empty mask without options": {"update_mask": {}},
        "nothing": {},
        "restore": {"restore_original": True},
        "restore with empty mask": {"restore_original": True, "update_mask": {}},
        "restore with mask": {"restore_original": True, "update_mask": _MASK},
        "restore with options": {"restore_original": True, "activity_options": _OPTIONS},
        "nobody, empty mask": {
            "activity_options": {},
            "update_mask": {},
            "activity_id": "nobody",
        },
        "no workflow, empty mask": {
            "activity_options": {},
            "update_mask": {},
            "workflow_id": env.name("nobody"),
        },
        **{f"name {name}": _naming(name) for name in _NAMES},
        "restore with unknown name": _naming("nothing") | {"restore_original": True},
        "nobody, unknown name": _naming("nothing") | {"activity_id": "nobody"},
        "two names": _naming("heartbeat_timeout", "nothing"),
    }
    for case, fields in cases.items():
        defaults = {
            "namespace": NAMESPACE,
            "workflow_id": driver.workflow_id,
            "activity_id": "a",
            "identity": IDENTITY,
        }
        request = build(wf.UpdateActivityExecutionOptionsRequest, **defaults | fields)
        await record.call(
            case, call(env, request, wf.UpdateActivityExecutionOptionsResponse), show=lambda _: "OK"
        )
        older = {
            "namespace": NAMESPACE,
            "execution": {"workflow_id": fields.get("workflow_id", driver.workflow_id)},
            "id": fields.get("activity_id", "a"),
            "identity": IDENTITY,
        }
        taken = {name: field for name, field in fields.items() if not name.endswith("_id")}
        by_name = build(wf.UpdateActivityOptionsRequest, **older | taken)
        await record.call(
            f"{case}, by the older name",
            call(env, by_name, wf.UpdateActivityOptionsResponse),
            show=lambda _: "OK",
        )
    await driver.terminate()
    return record
