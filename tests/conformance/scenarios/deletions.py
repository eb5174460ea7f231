"""Deleting workflows: what is left of them, and who is refused."""

import asyncio

import grpc
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow
from conformance.driver import Driver, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_DEADLINE_SECONDS = 120.0
"""The real server deletes when its queues have come that far."""
_NO_SUCH_RUN = "0198c5cb-5c68-7a3c-b7d0-77c0dd0a0000"


async def _delete(
    driver: Driver, run_id: str = "", **fields: object
) -> wf.DeleteWorkflowExecutionResponse:
    request = build(
        wf.DeleteWorkflowExecutionRequest,
        **{"namespace": NAMESPACE, "workflow_execution": driver.execution(run_id)} | fields,
    )
    return await call(driver.env, request, wf.DeleteWorkflowExecutionResponse)


async def _gone(driver: Driver, run_id: str = "") -> None:
    async def refused() -> bool:
        try:
            await driver.describe(run_id)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.NOT_FOUND
        return False

    await until(refused, what="a deleted run", deadline=_DEADLINE_SECONDS)


async def _unlisted(driver: Driver) -> None:
    request = build(
        wf.ListWorkflowExecutionsRequest,
        namespace=NAMESPACE,
        query=f"WorkflowId = '{driver.workflow_id}'",
    )

    async def empty() -> bool:
        listed = await call(driver.env, request, wf.ListWorkflowExecutionsResponse)
        return not listed.executions

    await until(empty, what="a listing without the deleted run", deadline=_DEADLINE_SECONDS)


async def _listed(driver: Driver) -> None:
    request = build(
        wf.ListWorkflowExecutionsRequest,
        namespace=NAMESPACE,
        query=f"WorkflowId = '{driver.workflow_id}' AND ExecutionStatus = 'Completed'",
    )

    async def found() -> bool:
        listed = await call(driver.env, request, wf.ListWorkflowExecutionsResponse)
        return bool(listed.executions)

    await until(found, what="a listing with the run")


@scenario
async def delete_closed_workflow(env: ScenarioEnv) -> Recording:
    """A closed workflow is deleted with its history and its place in listings."""
    record, driver = env.recording(), Driver(env)
    started = await driver.start()
    await driver.step(complete_workflow())
    await _listed(driver)
    await record.call("delete", _delete(driver))
    await _gone(driver)
    await _unlisted(driver)
    await record.call("describe", driver.describe())
    await record.call("describe the run", driver.describe(started.run_id))
    await record.call("history", driver.history())
    await record.call("history of the run", driver.history(started.run_id))
    await record.call("signal", driver.signal("late"))
    await record.call("terminate", driver.terminate())
    await record.call("delete again", _delete(driver))
    await record.call("delete the run again", _delete(driver, started.run_id))
    reuse = "WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE"
    await record.call("start again", driver.start(workflow_id_reuse_policy=reuse))
    record.events("history of the new run", await driver.history())
    await driver.terminate()
    return record


@scenario
async def delete_open_workflow(env: ScenarioEnv) -> Recording:
    """An open workflow is terminated, then deleted."""
    record, driver = env.recording(), Driver(env)
    started = await driver.start()
    waiting = asyncio.create_task(driver.closed(started.run_id))
    task = await driver.poll()
    await record.call("delete", _delete(driver))
    await _gone(driver)
    await _unlisted(driver)
    record.events("last event", [await waiting])
    await record.call("complete", driver.complete(task, complete_workflow()))
    await record.call("describe", driver.describe(started.run_id))
    return record


@scenario
async def delete_runs_by_id(env: ScenarioEnv) -> Recording:
    """A run that is named is deleted, and no other run of its workflow id."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start()
    await driver.step(complete_workflow())
    second = await driver.start()
    await driver.step(complete_workflow())
    await record.call("delete the first", _delete(driver, first.run_id))
    await _gone(driver, first.run_id)
    record.note("current", (await driver.describe()).workflow_execution_info.status)
    await record.call("delete the second", _delete(driver, second.run_id))
    await _gone(driver, second.run_id)
    await record.call("describe", driver.describe())
    await record.call("delete the first again", _delete(driver, first.run_id))
    return record


@scenario
async def delete_current_of_two(env: ScenarioEnv) -> Recording:
    """When the current run is deleted, an earlier one can still be named."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start()
    await driver.step(complete_workflow())
    second = await driver.start()
    await driver.step(complete_workflow())
    await record.call("delete", _delete(driver))
    await _gone(driver, second.run_id)
    await record.call("describe", driver.describe())
    first_described = await driver.describe(first.run_id)
    record.note("first", first_described.workflow_execution_info.status)
    await record.call("start", driver.start(request_id=env.name("third")))
    await driver.terminate()
    return record


@scenario
async def delete_refused(env: ScenarioEnv) -> Recording:
    """Deletions of what does not exist, and those that name nothing."""
    record, driver = env.recording(), Driver(env)
    await record.call("no such workflow", _delete(driver))
    await record.call("no such workflow, with a run", _delete(driver, _NO_SUCH_RUN))
    await driver.start()
    await record.call("no such run", _delete(driver, _NO_SUCH_RUN))
    await record.call("run id is none", _delete(driver, "run"))
    await record.call("no execution", _delete(driver, workflow_execution=None))
    await record.call("no workflow id", _delete(driver, workflow_execution={"run_id": "run"}))
    long_id = {"workflow_id": "w" * 1001}
    await record.call("long workflow id", _delete(driver, workflow_execution=long_id))
    await record.call("no namespace", _delete(driver, namespace=""))
    await record.call("unknown namespace", _delete(driver, namespace=env.name("unknown")))
    await driver.terminate()
    return record
