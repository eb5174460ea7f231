"""Cancelling activities, and completing them from elsewhere by token or by id."""

from temporalio.api.workflowservice import v1 as wf

from conformance.commands import cancel_activity, complete_workflow, schedule_activity
from conformance.driver import Driver, application_failure, payloads
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario


@scenario
async def activity_cancel_scheduled(env: ScenarioEnv) -> Recording:
    """An activity that nobody has taken is cancelled at once."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", env.name("nobody")))
    await driver.signal("wake")
    await record.call("cancel", driver.step(cancel_activity(5)))
    record.note("pending", (await driver.describe()).pending_activities)
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_cancel_in_same_task(env: ScenarioEnv) -> Recording:
    """An activity is scheduled and cancelled by one workflow task."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue), cancel_activity(5))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_cancel_started(env: ScenarioEnv) -> Recording:
    """A running activity learns of its cancellation by heartbeat and confirms it."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue))
    task = await driver.poll_activity()
    await record.call("heartbeat before", driver.heartbeat(task))
    await record.call("canceled without a request", driver.cancel_activity(task))
    await driver.signal("wake")
    await driver.step(cancel_activity(5))
    record.note("pending", (await driver.describe()).pending_activities)
    await record.call("heartbeat after", driver.heartbeat(task, "seen"))
    await record.call("canceled", driver.cancel_activity(task, "cleaned"))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_cancel_then_other_end(env: ScenarioEnv) -> Recording:
    """A cancelled activity may still complete; a failure is not retried any more."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue), schedule_activity("b", driver.queue))
    tasks = {}
    for _ in range(2):
        task = await driver.poll_activity()
        tasks[task.activity_id] = task
    await driver.signal("wake")
    await driver.step(cancel_activity(5), cancel_activity(6))
    await record.call("complete", driver.complete_activity(tasks["a"]))
    await driver.step()
    await record.call("fail", driver.fail_activity(tasks["b"], application_failure("no")))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_cancel_in_backoff(env: ScenarioEnv) -> Recording:
    """An activity that waits for its next attempt is cancelled at once."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    policy = {"initial_interval": {"seconds": 30}}
    await driver.step(schedule_activity("a", driver.queue, retry_policy=policy))
    await driver.fail_activity(await driver.poll_activity(), application_failure("one"))
    await driver.signal("wake")
    await driver.step(cancel_activity(5))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_cancel_twice(env: ScenarioEnv) -> Recording:
    """A second cancellation of a running activity, and one of an activity that has ended."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue))
    task = await driver.poll_activity()
    await driver.signal("wake")
    await record.call("twice in one task", driver.step(cancel_activity(5), cancel_activity(5)))
    await record.call("again", driver.heartbeat(task))
    await driver.complete_activity(task)
    await record.call("after its end", driver.step(cancel_activity(5)))
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def activity_async_by_token(env: ScenarioEnv) -> Recording:
    """An activity's token is used by someone else, after its worker forgot it."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue))
    token = (await driver.poll_activity()).task_token
    request = build(
        wf.RespondActivityTaskCompletedRequest,
        namespace=NAMESPACE,
        task_token=token,
        identity="elsewhere",
        result=payloads("out"),
    )
    await record.call("complete", call(env, request, wf.RespondActivityTaskCompletedResponse))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_async_by_id(env: ScenarioEnv) -> Recording:
    """Activities are heartbeaten, completed, failed and cancelled by workflow and activity id."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    names = ("complete", "fail", "cancel")
    policy = {"maximum_attempts": 1}
    await driver.step(
        *(schedule_activity(name, driver.queue, retry_policy=policy) for name in names)
    )
    who = {"namespace": NAMESPACE, "workflow_id": driver.workflow_id, "identity": "elsewhere"}
    complete = build(
        wf.RespondActivityTaskCompletedByIdRequest,
        **who,
        activity_id="complete",
        result=payloads("out"),
    )
    answer = wf.RespondActivityTaskCompletedByIdResponse
    await record.call("complete before its start", call(env, complete, answer))
    for _ in range(2):
        await driver.poll_activity()
    heartbeat = build(
        wf.RecordActivityTaskHeartbeatByIdRequest,
        **who,
        activity_id="fail",
        details=payloads("half"),
    )
    await record.call("heartbeat", call(env, heartbeat, wf.RecordActivityTaskHeartbeatByIdResponse))
    fail = build(
        wf.RespondActivityTaskFailedByIdRequest,
        **who,
        activity_id="fail",
        failure=application_failure("no"),
    )
    await record.call("fail", call(env, fail, wf.RespondActivityTaskFailedByIdResponse))
    await record.call("complete twice", call(env, complete, answer))
    await driver.step(cancel_activity(7))
    cancel = build(wf.RespondActivityTaskCanceledByIdRequest, **who, activity_id="cancel")
    await record.call("cancel", call(env, cancel, wf.RespondActivityTaskCanceledByIdResponse))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record
