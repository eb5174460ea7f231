"""The official Python SDK: workflows with a real worker, and what user code sees of errors."""

from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.workflow import ActivityCancellationType

from conformance.driver import Driver, event_type, until
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.sdk_children import CHILDREN, Greets, HasChildren
from conformance.sdk_workflows import (
    ACTIVITIES,
    WORKFLOWS,
    Cancels,
    ChangedAfter,
    ChangedBefore,
    Counts,
    Elsewhere,
    Fails,
    Hello,
    Medium,
    Waits,
)


def worker(
    client: Client,
    env: ScenarioEnv,
    *,
    workflows: Sequence[type] = tuple(WORKFLOWS),
    **options: Any,
) -> Worker:
    """Returns a worker of the scenario's task queue."""
    return Worker(
        client,
        task_queue=env.name("queue"),
        workflows=workflows,
        activities=ACTIVITIES,
        workflow_runner=UnsandboxedWorkflowRunner(),
        **options,
    )


@scenario
async def sdk_hello(env: ScenarioEnv) -> Recording:
    """Hello world: a workflow with one activity."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        result = await client.execute_workflow(
            Hello.run, "Temporal", id=driver.workflow_id, task_queue=driver.queue
        )
    record.note("result", result)
    record.events("history", await driver.history())
    return record


@scenario
async def sdk_hello_without_eager(env: ScenarioEnv) -> Recording:
    """Hello world with a worker that does not ask for eager activities."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env, disable_eager_activity_execution=True):
        result = await client.execute_workflow(
            Hello.run, "Temporal", id=driver.workflow_id, task_queue=driver.queue
        )
    record.note("result", result)
    record.events("history", await driver.history())
    return record


@scenario
async def sdk_medium(env: ScenarioEnv) -> Recording:
    """Activities, retries, a timer, a patch, a local activity, upserts, a query and a signal."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        handle = await client.start_workflow(
            Medium.run,
            "Temporal",
            id=driver.workflow_id,
            task_queue=driver.queue,
            memo={"stage": "new"},
            static_summary="summary",
            static_details="details",
        )

        async def waiting() -> bool:
            return await handle.query(Medium.stage) == "waiting"

        await until(waiting, what="the workflow's last stage")
        record.note("memo", await (await handle.describe()).memo())
        await handle.signal(Medium.finish, "bye")
        record.note("result", await handle.result())
    record.events("history", await driver.history())
    record.note("describe", await driver.describe())
    return record


@scenario
async def sdk_children(env: ScenarioEnv) -> Recording:
    """Children that greet, continue as new, fail, are cancelled, and outlive their parent."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env, workflows=CHILDREN):
        result = await client.execute_workflow(
            HasChildren.run, id=driver.workflow_id, task_queue=driver.queue
        )
        record.note("result", result)
        handle = client.get_workflow_handle(f"{driver.workflow_id}-abandoned")
        await handle.signal(Greets.name, "orphan")
        record.note("orphan", await handle.result())
    kinds = [event_type(event) for event in await driver.history()]
    record.note("events of children", [kind for kind in kinds if "CHILD" in kind])
    return record


@scenario
async def sdk_activity_cancellation(env: ScenarioEnv) -> Recording:
    """The three ways of cancelling an activity."""
    record, client = env.recording(), await env.sdk()
    async with worker(client, env):
        for kind in ActivityCancellationType:
            driver = Driver(env, workflow=f"wf-{kind.name}")
            handle = await client.start_workflow(
                Cancels.run, int(kind), id=driver.workflow_id, task_queue=driver.queue
            )
            await _started(driver)
            await handle.signal(Cancels.cancel)
            record.note(f"{kind.name}: result", await handle.result())
            record.events(f"{kind.name}: history", await driver.history())
    return record


@scenario
async def sdk_failures(env: ScenarioEnv) -> Recording:
    """What user code sees of a failed, a cancelled, a terminated and a timed-out workflow."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        handle = await client.start_workflow(
            Fails.run, id=driver.workflow_id, task_queue=driver.queue
        )
        record.note("failed", await _causes(handle))
        record.events("failed: history", await driver.history())
        for name in ("cancelled", "terminated", "timed out"):
            waiting = await client.start_workflow(
                Waits.run,
                id=env.name(name),
                task_queue=driver.queue,
                run_timeout=timedelta(seconds=1) if name == "timed out" else None,
            )
            if name == "cancelled":
                await waiting.cancel()
            if name == "terminated":
                await waiting.terminate("detail", reason="enough")
            record.note(name, await _causes(waiting))
    return record


@scenario
async def sdk_errors(env: ScenarioEnv) -> Recording:
    """What user code sees of refused calls."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    start: dict[str, Any] = {"id": driver.workflow_id, "task_queue": driver.queue}
    async with worker(client, env):
        handle = await client.start_workflow(Waits.run, **start)
        record.note("started twice", await _already_started(client, start))
        existing = await client.start_workflow(
            Waits.run, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING, **start
        )
        record.note("existing", existing.result_run_id == handle.result_run_id)
        record.note("failed query", await _query_error(handle, "fails"))
        record.note("unknown query", await _query_error(handle, "nope"))
        await handle.signal(Waits.done)
        await handle.result()
        await record.call("signal to closed", _ignore(handle.signal(Waits.done)))
        reject = {"id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE}
        record.note("started again", await _already_started(client, start | reject))
        missing = client.get_workflow_handle(env.name("missing"))
        await record.call("describe missing", _ignore(missing.describe()))
        await record.call("result of missing", _ignore(missing.result()))
    return record


@scenario
async def sdk_continue_as_new(env: ScenarioEnv) -> Recording:
    """The client follows a chain of runs to its result."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        handle = await client.start_workflow(
            Counts.run, 1, id=driver.workflow_id, task_queue=driver.queue
        )
        record.note("result", await handle.result())
    record.events("first run", await driver.history(handle.result_run_id or ""))
    record.events("last run", await driver.history())
    return record


@scenario
async def sdk_async_completion(env: ScenarioEnv) -> Recording:
    """An activity is heartbeaten and completed by a client, by its workflow and id."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        handle = await client.start_workflow(
            Elsewhere.run, id=driver.workflow_id, task_queue=driver.queue
        )
        await _started(driver)
        activity = client.get_async_activity_handle(
            workflow_id=driver.workflow_id, run_id=None, activity_id="elsewhere"
        )
        await record.call("heartbeat", activity.heartbeat("half"))
        await record.call("complete", activity.complete("from elsewhere"))
        record.note("result", await handle.result())
        await record.call("complete again", activity.complete("late"))
    record.events("history", await driver.history())
    return record


@scenario
async def sdk_worker_replaced(env: ScenarioEnv) -> Recording:
    """A worker goes; another takes its workflow over from the whole history."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        handle = await client.start_workflow(
            Waits.run, id=driver.workflow_id, task_queue=driver.queue
        )
        await driver.event("WORKFLOW_TASK_COMPLETED")
    await handle.signal(Waits.done)
    async with worker(client, env):
        record.note("result", await handle.result())
    record.events("history", await driver.history())
    return record


@scenario
async def sdk_nondeterminism(env: ScenarioEnv) -> Recording:
    """Changed code fails the workflow task; the old code brings the workflow on again."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env, workflows=[ChangedBefore]):
        handle = await client.start_workflow(
            ChangedBefore.run, id=driver.workflow_id, task_queue=driver.queue
        )
        await driver.event("TIMER_STARTED")
    await handle.signal("anything")
    async with worker(client, env, workflows=[ChangedAfter]):
        failed = await driver.event("WORKFLOW_TASK_FAILED")
        record.note("cause", failed.workflow_task_failed_event_attributes.cause)
    await handle.terminate()
    events = await driver.history()
    record.note("ids and types", [f"{e.event_id} {e.event_type}" for e in events][:9])
    return record


async def _started(driver: Driver) -> None:
    async def started() -> bool:
        pending = (await driver.describe()).pending_activities
        return bool(pending) and pending[0].HasField("last_started_time")

    await until(started, what="a started activity")


async def _causes(handle: WorkflowHandle[Any, Any]) -> list[str]:
    try:
        await handle.result()
    except WorkflowFailureError as error:
        chain: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            state = getattr(cause, "retry_state", None)
            message = cause.message if isinstance(cause, FailureError) else str(cause)
            chain.append(f"{type(cause).__name__}: {message} ({state})")
            cause = cause.__cause__
        return chain
    return []


async def _already_started(client: Client, start: dict[str, Any]) -> str:
    try:
        await client.start_workflow(Waits.run, **start)
    except WorkflowAlreadyStartedError as error:
        return f"{error} of {error.workflow_type}"
    return "started"


async def _query_error(handle: WorkflowHandle[Any, Any], name: str) -> str:
    try:
        await handle.query(name)
    except WorkflowQueryFailedError as error:
        return str(error)
    return "answered"


async def _ignore(answer: Awaitable[object]) -> None:
    await answer
