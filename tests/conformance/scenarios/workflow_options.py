"""What an open workflow is given later: requests, callbacks and links of starts; options."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow
from conformance.driver import Driver
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_USE_EXISTING = "WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING"


def _link(job: str) -> dict[str, object]:
    return {"batch_job": {"job_id": job}}


async def _update(
    driver: Driver, *paths: str, options: Mapping[str, object] | None = None, **fields: object
) -> wf.UpdateWorkflowExecutionOptionsResponse:
    request = build(
        wf.UpdateWorkflowExecutionOptionsRequest,
        **{
            "namespace": NAMESPACE,
            "workflow_execution": driver.execution(),
            "workflow_execution_options": options or {},
            "update_mask": FieldMask(paths=paths),
            "identity": "operator",
        }
        | fields,
    )
    return await call(driver.env, request, wf.UpdateWorkflowExecutionOptionsResponse)


@scenario
async def conflict_attaches_links(env: ScenarioEnv) -> Recording:
    """USE_EXISTING attaches links, with or without the request id."""
    record, driver = env.recording(), Driver(env)
    await driver.start(request_id=env.name("start"), links=[_link("first")])
    for name, options in {
        "links": {"attach_links": True},
        "links and id": {"attach_links": True, "attach_request_id": True},
        "id": {"attach_request_id": True},
        "callbacks without id": {"attach_completion_callbacks": True},
    }.items():
        await record.call(
            name,
            driver.start(
                request_id=env.name(f"request {name}"),
                workflow_id_conflict_policy=_USE_EXISTING,
                on_conflict_options=options,
                links=[_link(name)],
            ),
        )
    task = await driver.poll()
    fields = {
        "request_id": env.name("while started"),
        "workflow_id_conflict_policy": _USE_EXISTING,
        "on_conflict_options": {"attach_links": True, "attach_request_id": True},
        "links": [_link("while started")],
    }
    await record.call("while a task is started", driver.start(**fields))
    await record.call("once more", driver.start(**fields))
    record.note("described", (await driver.describe()).workflow_extended_info)
    await driver.complete(task)
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    record.note("described later", (await driver.describe()).workflow_extended_info)
    return record


@scenario
async def attached_request_after_close(env: ScenarioEnv) -> Recording:
    """A request that was attached to a run is answered for it when the run has closed."""
    record, driver = env.recording(), Driver(env)
    await driver.start(request_id=env.name("start"))
    fields = {
        "request_id": env.name("attached"),
        "workflow_id_conflict_policy": _USE_EXISTING,
        "on_conflict_options": {"attach_request_id": True},
    }
    await record.call("attach", driver.start(**fields))
    await driver.step(complete_workflow())
    await record.call("again", driver.start(**fields))
    await record.call("signalled", driver.signal_with_start("go", request_id=fields["request_id"]))
    return record


@scenario
async def request_of_a_signal_with_start(env: ScenarioEnv) -> Recording:
    """The request that has signalled and started a workflow is in its description."""
    record, driver = env.recording(), Driver(env)
    await driver.signal_with_start("go", request_id=env.name("both"))
    record.note("described", (await driver.describe()).workflow_extended_info)
    await driver.signal_with_start("go", request_id=env.name("second"))
    await driver.signal("go", request_id=env.name("signal"))
    await driver.step(complete_workflow())
    record.note("described later", (await driver.describe()).workflow_extended_info)
    return record


@scenario
async def links_are_kept(env: ScenarioEnv) -> Recording:
    """Links of signals, cancel requests and terminations are on their events."""
    record, driver = env.recording(), Driver(env)
    await driver.start(links=[_link("start")])
    await driver.signal("go", links=[_link("signal")])
    await driver.signal_with_start("go", links=[_link("signal with start")])
    await driver.cancel(links=[_link("cancel")])
    await driver.terminate(links=[_link("terminate")])
    record.events("history", await driver.history())
    await driver.signal_with_start("go", links=[_link("both")])
    record.events("started by a signal", await driver.history())
    await driver.terminate()
    return record


@scenario
async def conflict_options_refused(env: ScenarioEnv) -> Recording:
    """On-conflict options that contradict themselves or the request."""
    record, driver = env.recording(), Driver(env)
    callback: Any = {"nexus": {"url": "http://127.0.0.1:9/done"}}
    cases: dict[str, dict[str, Any]] = {
        "callbacks without id": {"on_conflict_options": {"attach_completion_callbacks": True}},
        "no such callback": {"completion_callbacks": [{}]},
        "address not allowed": {"completion_callbacks": [callback]},
        "callback without url": {"completion_callbacks": [{"nexus": {}}]},
        "callback of another scheme": {
            "completion_callbacks": [{"nexus": {"url": "ftp://127.0.0.1/done"}}]
        },
        "long url": {"completion_callbacks": [{"nexus": {"url": "http://" + "a" * 1001}}]},
        "too many": {"completion_callbacks": [callback] * 33},
        "many links": {"links": [_link("job")] * 11},
    }
    for name, fields in cases.items():
        await record.call(name, driver.start(**fields))
        await record.call(
            f"{name}, use existing",
            driver.start(workflow_id_conflict_policy=_USE_EXISTING, **fields),
        )
    return record


@scenario
async def update_options_priority(env: ScenarioEnv) -> Recording:
    """The priority of an open workflow is changed, as a whole or in part."""
    record, driver = env.recording(), Driver(env)
    await driver.start(priority={"priority_key": 2, "fairness_key": "a", "fairness_weight": 2.0})
    await record.call(
        "priority", _update(driver, "priority", options={"priority": {"priority_key": 4}})
    )
    record.note("described", await driver.describe())
    await record.call(
        "the same", _update(driver, "priority", options={"priority": {"priority_key": 4}})
    )
    await record.call(
        "one part",
        _update(driver, "priority.fairness_key", options={"priority": {"fairness_key": "b"}}),
    )
    await record.call(
        "camel case",
        _update(driver, "priority.priorityKey", options={"priority": {"priority_key": 1}}),
    )
    await record.call(
        "weight",
        _update(driver, "priority.fairness_weight", options={"priority": {"fairness_weight": 3}}),
    )
    await record.call("unset", _update(driver, "priority"))
    record.note("described unset", (await driver.describe()).workflow_execution_info)
    await record.call("nothing asked", _update(driver))
    task = await driver.poll()
    await record.call(
        "while a task is started",
        _update(driver, "priority", options={"priority": {"priority_key": 5}}),
    )
    await driver.complete(task)
    record.events("history", await driver.history())
    await driver.terminate()
    await record.call(
        "closed", _update(driver, "priority", options={"priority": {"priority_key": 5}})
    )
    return record


@scenario
async def update_options_refused(env: ScenarioEnv) -> Recording:
    """Options that do not exist, or are not what they should be."""
    record, driver = env.recording(), Driver(env)
    await record.call("no such workflow", _update(driver, "priority"))
    await driver.start()
    await record.call("unknown path", _update(driver, "nothing"))
    await record.call("unknown part", _update(driver, "priority.nothing"))
    await record.call(
        "bad priority", _update(driver, "priority", options={"priority": {"priority_key": -1}})
    )
    long_key = {"priority": {"fairness_key": "k" * 65}}
    await record.call("long fairness key", _update(driver, "priority", options=long_key))
    await record.call("no execution", _update(driver, "priority", workflow_execution=None))
    await record.call("no workflow id", _update(driver, workflow_execution={"run_id": "x"}))
    await record.call("bad run id", _update(driver, workflow_execution=driver.execution("run")))
    await record.call("no options", _update(driver, workflow_execution_options=None))
    await record.call("no mask", _update(driver, update_mask=None))
    await record.call("no namespace", _update(driver, namespace=""))
    await record.call("override unset", _update(driver, "versioning_override"), show=str)
    await driver.terminate()
    return record
