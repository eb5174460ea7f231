"""Batch operations: what is refused, and what becomes of the workflows that a query names."""

from typing import Any

from temporalio.api.enums.v1 import BatchOperationState
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice import v1 as wf

from conformance.driver import Driver, event_type, payloads, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_RUNNING = BatchOperationState.BATCH_OPERATION_STATE_RUNNING
_TERMINATION: dict[str, Any] = {"termination_operation": {"identity": "operator"}}
_RESET_TYPES = {"reset_operation": {"options": {"first_workflow_task": {}}, "identity": "operator"}}


async def _start(env: ScenarioEnv, job: str, **fields: Any) -> wf.StartBatchOperationResponse:
    defaults = {"namespace": NAMESPACE, "job_id": env.name(job) if job else "", "reason": "because"}
    request = build(wf.StartBatchOperationRequest, **defaults | fields)
    return await call(env, request, wf.StartBatchOperationResponse)


async def _describe(env: ScenarioEnv, job: str) -> wf.DescribeBatchOperationResponse:
    request = build(
        wf.DescribeBatchOperationRequest,
        namespace=NAMESPACE,
        job_id=env.name(job) if job else "",
    )
    return await call(env, request, wf.DescribeBatchOperationResponse)


async def _stop(env: ScenarioEnv, job: str, **fields: Any) -> wf.StopBatchOperationResponse:
    defaults = {"namespace": NAMESPACE, "job_id": env.name(job) if job else "", "reason": "enough"}
    request = build(wf.StopBatchOperationRequest, **defaults | fields)
    return await call(env, request, wf.StopBatchOperationResponse)


async def _list(env: ScenarioEnv, **fields: Any) -> wf.ListBatchOperationsResponse:
    request = build(wf.ListBatchOperationsRequest, **{"namespace": NAMESPACE} | fields)
    return await call(env, request, wf.ListBatchOperationsResponse)


async def _ended(env: ScenarioEnv, job: str) -> wf.DescribeBatchOperationResponse:
    async def ended() -> wf.DescribeBatchOperationResponse | None:
        described = await _describe(env, job)
        return described if described.state != _RUNNING else None

    return await until(ended, what="the end of the job", deadline=60.0)


async def _workflows(env: ScenarioEnv, count: int) -> list[Driver]:
    """Starts workflows of a type of their own."""
    drivers = [Driver(env, workflow=f"wf {number}") for number in range(count)]
    for driver in drivers:
        await driver.start(workflow_type={"name": env.name("Batched")})
    return drivers


def _query(env: ScenarioEnv) -> str:
    return f"WorkflowType = '{env.name('Batched')}'"


async def _listed(env: ScenarioEnv, count: int) -> None:
    request = build(wf.CountWorkflowExecutionsRequest, namespace=NAMESPACE, query=_query(env))

    async def all_there() -> bool:
        return (await call(env, request, wf.CountWorkflowExecutionsResponse)).count == count

    await until(all_there, what="all workflows in the listing")


def _anonymous(history: list[HistoryEvent]) -> list[HistoryEvent]:
    """Takes out who did it: on the real server that is a process and its host."""
    for event in history:
        attributes = getattr(event, event.WhichOneof("attributes") or "")
        if event_type(event) != "WORKFLOW_EXECUTION_SIGNALED":
            attributes.identity = ""
    return history


@scenario
async def batch_refused(env: ScenarioEnv) -> Recording:
    """Batch operations that are none, and jobs that do not exist."""
    record = env.recording()
    query = {"visibility_query": _query(env)}
    execution = {"workflow_id": "wf", "run_id": ""}
    for name, fields in {
        "no namespace": {"namespace": ""},
        "no such namespace": {"namespace": "no"},
        "no operation": query,
        "no reason": query | _TERMINATION | {"reason": ""},
        "nothing named": _TERMINATION,
        "both named": query | _TERMINATION | {"executions": [execution]},
        "broken query": _TERMINATION | {"visibility_query": "WorkflowId ="},
        "signal without name": query | {"signal_operation": {}},
        "reset without options": query | {"reset_operation": {}},
        "no options": query | {"update_workflow_options_operation": {}},
    }.items():
        await record.call(name, _start(env, f"refused {name}", **fields))
    await record.call("no job id", _start(env, "", **query | _TERMINATION))
    await record.call("describe nothing", _describe(env, "none"))
    await record.call("describe no id", _describe(env, ""))
    await record.call("stop nothing", _stop(env, "none"))
    await record.call("stop no id", _stop(env, ""))
    await record.call("stop without a reason", _stop(env, "none", reason=""))
    await record.call("list elsewhere", _list(env, namespace="no"))
    await record.call("list nowhere", _list(env, namespace=""))
    return record


@scenario
async def batch_terminates(env: ScenarioEnv) -> Recording:
    """The open workflows that a query names are terminated; the job can be looked at."""
    record = env.recording()
    drivers = await _workflows(env, 3)
    await drivers[2].terminate(reason="before")
    await _listed(env, 3)
    await record.call("start", _start(env, "job", visibility_query=_query(env), **_TERMINATION))
    record.note("job", await _ended(env, "job"))
    for number, driver in enumerate(drivers):
        record.events(f"{number}: last", _anonymous((await driver.history())[-1:]))
    await record.call("again", _start(env, "job", visibility_query=_query(env), **_TERMINATION))
    record.note("job again", await _ended(env, "job"))
    listed = (await _list(env)).operation_info
    record.note("listed", [each for each in listed if each.job_id == env.name("job")])
    await record.call("stop", _stop(env, "job"))
    return record


@scenario
async def batch_of_executions(env: ScenarioEnv) -> Recording:
    """Named workflows are signalled, cancelled, and deleted; some are not there."""
    record = env.recording()
    drivers = await _workflows(env, 2)
    closed = Driver(env, workflow="closed")
    await closed.start()
    await closed.terminate()
    named = [driver.execution() for driver in (*drivers, closed)]
    named.append(Driver(env, workflow="missing").execution())
    operations: dict[str, dict[str, Any]] = {
        "signal": {"signal_operation": {"signal": "go", "input": payloads("x"), "identity": "me"}},
        "cancel": {"cancellation_operation": {"identity": "me"}},
        "terminate": {"termination_operation": {"identity": "me", "details": payloads("why")}},
    }
    for name, operation in operations.items():
        await record.call(name, _start(env, name, executions=named, **operation))
        record.note(f"{name}: job", await _ended(env, name))
    record.events("history", _anonymous((await drivers[0].history())[2:]))
    record.events("closed", (await closed.history())[2:])
    return record


@scenario
async def batch_resets(env: ScenarioEnv) -> Recording:
    """Workflows are reset to their first workflow task."""
    record = env.recording()
    drivers = await _workflows(env, 1)
    await drivers[0].step()
    await _listed(env, 1)
    await record.call("reset", _start(env, "reset", visibility_query=_query(env), **_RESET_TYPES))
    record.note("job", await _ended(env, "reset"))
    record.note("history", [event_type(event) for event in await drivers[0].history()])
    failed = next(
        event for event in await drivers[0].history() if event_type(event) == "WORKFLOW_TASK_FAILED"
    )
    record.events("failed", [failed])
    await drivers[0].terminate()
    return record


@scenario
async def batch_deletes(env: ScenarioEnv) -> Recording:
    """Workflows are deleted, open and closed ones."""
    record = env.recording()
    drivers = await _workflows(env, 2)
    await drivers[0].terminate()
    await _listed(env, 2)
    deletion: dict[str, Any] = {"deletion_operation": {"identity": "me"}}
    await record.call("delete", _start(env, "delete", visibility_query=_query(env), **deletion))
    record.note("job", await _ended(env, "delete"))
    return record
