"""One workflow id, several starts: conflict policies (open run), reuse policies (closed run)."""

from collections.abc import Awaitable, Callable

from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionResponse

from conformance.commands import cancel_workflow, complete_workflow, fail_workflow
from conformance.driver import Driver, application_failure
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_CONFLICT = "WORKFLOW_ID_CONFLICT_POLICY_"
_REUSE = "WORKFLOW_ID_REUSE_POLICY_"


@scenario
async def conflict_policies_open_run(env: ScenarioEnv) -> Recording:
    """Each conflict policy against a running workflow."""
    record = env.recording()
    for name, number in WorkflowIdConflictPolicy.items():
        policy = name.removeprefix(_CONFLICT)
        driver = Driver(env, workflow=f"wf-{policy}")
        await driver.start()
        await record.call(policy, driver.start(workflow_id_conflict_policy=number))
        record.note(f"{policy}: described", (await driver.describe()).workflow_execution_info)
        await driver.terminate()
    return record


@scenario
async def conflict_terminate_existing(env: ScenarioEnv) -> Recording:
    """TERMINATE_EXISTING ends the old run and starts the new one."""
    record, driver = env.recording(), Driver(env)
    old = await driver.start()
    new = await driver.start(workflow_id_conflict_policy=f"{_CONFLICT}TERMINATE_EXISTING")
    record.note("new", new)
    record.events("old history", await driver.history(old.run_id))
    await driver.step(complete_workflow())
    record.events("new history", await driver.history(new.run_id))
    record.note("old", (await driver.describe(old.run_id)).workflow_execution_info)
    return record


@scenario
async def conflict_use_existing_attaches(env: ScenarioEnv) -> Recording:
    """USE_EXISTING with on_conflict_options attaches the request id to the running workflow."""
    record, driver = env.recording(), Driver(env)
    fields = {
        "request_id": env.name("attached"),
        "workflow_id_conflict_policy": f"{_CONFLICT}USE_EXISTING",
        "on_conflict_options": {"attach_request_id": True},
    }
    await driver.start(request_id=env.name("start"))
    await record.call("attach", driver.start(**fields))
    await record.call("attach again", driver.start(**fields))
    await record.call("same id, policy FAIL", driver.start(request_id=fields["request_id"]))
    record.note("describe", await driver.describe())
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def reuse_policies_open_run(env: ScenarioEnv) -> Recording:
    """Each reuse policy against a running workflow."""
    record = env.recording()
    for name, number in WorkflowIdReusePolicy.items():
        policy = name.removeprefix(_REUSE)
        driver = Driver(env, workflow=f"wf-{policy}")
        old = await driver.start()
        await record.call(policy, driver.start(workflow_id_reuse_policy=number))
        record.events(f"{policy}: old run", (await driver.history(old.run_id))[2:])
        await driver.terminate()
    return record


@scenario
async def reuse_policies_closed_run(env: ScenarioEnv) -> Recording:
    """Each reuse policy against a run that closed in each way."""
    record = env.recording()
    for status, close in _CLOSINGS.items():
        for name, number in WorkflowIdReusePolicy.items():
            policy = name.removeprefix(_REUSE)
            driver = Driver(env, workflow=f"wf-{status}-{policy}", queue=f"queue-{status}-{policy}")
            await driver.start(workflow_run_timeout={"seconds": 1})
            await close(driver)
            fields = {"workflow_id_reuse_policy": number}
            answer = await record.call(
                f"{status}, {policy}", driver.start(**fields), show=_what_started
            )
            if answer is not None:
                await driver.terminate()
    return record


@scenario
async def policy_pairs(env: ScenarioEnv) -> Recording:
    """Every pair of a reuse and a conflict policy, for an id that was never used."""
    record = env.recording()
    for reuse in WorkflowIdReusePolicy.DESCRIPTOR.values_by_name:
        for conflict in WorkflowIdConflictPolicy.DESCRIPTOR.values_by_name:
            pair = f"{reuse.removeprefix(_REUSE)} + {conflict.removeprefix(_CONFLICT)}"
            driver = Driver(env, workflow=f"wf-{pair}")
            fields = {"workflow_id_reuse_policy": reuse, "workflow_id_conflict_policy": conflict}
            answer = await record.call(pair, driver.start(**fields), show=_what_started)
            if answer is not None:
                await driver.terminate()
    return record


@scenario
async def terminate_if_running_over_closed(env: ScenarioEnv) -> Recording:
    """The old policy TERMINATE_IF_RUNNING starts after a closed run as after none."""
    record, driver = env.recording(), Driver(env)
    old = await driver.start()
    await driver.step(complete_workflow())
    policy = {"workflow_id_reuse_policy": f"{_REUSE}TERMINATE_IF_RUNNING"}
    await record.call("over closed", driver.start(**policy))
    await record.call("over running", driver.start(**policy))
    record.events("first run", await driver.history(old.run_id))
    record.events("last run", await driver.history())
    await driver.terminate()
    return record


def _what_started(answer: StartWorkflowExecutionResponse) -> dict[str, object]:
    return {"started": answer.started, "status": answer.status}


async def _complete(driver: Driver) -> None:
    await driver.step(complete_workflow())


async def _fail(driver: Driver) -> None:
    await driver.step(fail_workflow(application_failure("broken")))


async def _cancel(driver: Driver) -> None:
    await driver.cancel()
    await driver.step(cancel_workflow())


async def _terminate(driver: Driver) -> None:
    await driver.terminate()


async def _time_out(driver: Driver) -> None:
    await driver.closed()


_CLOSINGS: dict[str, Callable[[Driver], Awaitable[None]]] = {
    "completed": _complete,
    "failed": _fail,
    "canceled": _cancel,
    "terminated": _terminate,
    "timed out": _time_out,
}
