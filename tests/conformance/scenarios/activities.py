"""Activities: success, retries with backoff, failures that end them, eager dispatch, duplicates."""

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionResponse,
    RespondWorkflowTaskCompletedResponse,
)

from conformance.commands import complete_workflow, schedule_activity
from conformance.driver import Driver, application_failure, payload, payloads, until
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_QUICK = {"initial_interval": {"nanos": 100_000_000}, "backoff_coefficient": 2.0}


@scenario
async def activity_success(env: ScenarioEnv) -> Recording:
    """An activity is scheduled, started and completed."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    command = schedule_activity(
        "a",
        driver.queue,
        input=payloads("in"),
        header={"fields": {"trace": payload("header")}},
        heartbeat_timeout={"seconds": 3},
    )
    command.user_metadata.summary.CopyFrom(payload("summary"))
    await driver.step(command)
    record.note("describe scheduled", (await driver.describe()).pending_activities)
    task = await driver.poll_activity()
    record.note("task", task)
    record.note("describe started", (await driver.describe()).pending_activities)
    record.note("history while started", [e.event_id for e in await driver.history()])
    await record.call("complete", driver.complete_activity(task, "out"))
    record.note("describe completed", await driver.describe())
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_retries(env: ScenarioEnv) -> Recording:
    """A failing activity is tried again with backoff; its start is written with its end."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    policy = {"initial_interval": {"nanos": 500_000_000}, "backoff_coefficient": 1.0}
    await driver.step(schedule_activity("a", driver.queue, retry_policy=policy))
    await record.call(
        "fail", driver.fail_activity(await driver.poll_activity(), application_failure("one"))
    )
    record.note("describe in backoff", (await driver.describe()).pending_activities)
    second = await driver.poll_activity()
    record.note("second task", second)
    record.note("describe second attempt", (await driver.describe()).pending_activities)
    await driver.fail_activity(second, application_failure("two", kind="Oops"))
    await driver.complete_activity(await driver.poll_activity())
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_retry_default_policy(env: ScenarioEnv) -> Recording:
    """Without a policy the server's default applies and is on the event."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue))
    await driver.fail_activity(await driver.poll_activity(), application_failure("one"))
    record.note("describe in backoff", (await driver.describe()).pending_activities)
    record.note("second attempt", (await driver.poll_activity()).attempt)
    await driver.terminate()
    record.events("history", await driver.history())
    return record


@scenario
async def activity_failures_not_retried(env: ScenarioEnv) -> Recording:
    """Flag, type and the last attempt end the retries; each with its retry_state."""
    record, driver = env.recording(), Driver(env)
    policy = _QUICK | {"maximum_attempts": 2, "non_retryable_error_types": ["Fatal"]}
    await driver.start()
    await driver.step(
        *(
            schedule_activity(name, driver.queue, retry_policy=policy)
            for name in ("flag", "type", "attempts")
        )
    )
    failures = {
        "flag": application_failure("flag", non_retryable=True),
        "type": application_failure("type", kind="Fatal"),
        "attempts": application_failure("attempts"),
    }
    for _ in range(4):
        task = await driver.poll_activity()
        await driver.fail_activity(task, failures[task.activity_id])
    await driver.event("ACTIVITY_TASK_FAILED", count=3)
    failed = [
        e for e in await driver.history() if e.HasField("activity_task_failed_event_attributes")
    ]
    by_message = sorted(
        failed, key=lambda e: e.activity_task_failed_event_attributes.failure.message
    )
    record.note(
        "failures",
        {
            e.activity_task_failed_event_attributes.failure.message: {
                "failure": e.activity_task_failed_event_attributes.failure,
                "retry_state": e.activity_task_failed_event_attributes.retry_state,
            }
            for e in by_message
        },
    )
    await driver.terminate()
    return record


@scenario
async def activity_next_retry_delay(env: ScenarioEnv) -> Recording:
    """A failure's own next delay replaces the policy's backoff."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    policy = {"initial_interval": {"seconds": 60}}
    await driver.step(schedule_activity("a", driver.queue, retry_policy=policy))
    failure = application_failure("one", next_retry_delay={"nanos": 300_000_000})
    await driver.fail_activity(await driver.poll_activity(), failure)
    record.note("describe in backoff", (await driver.describe()).pending_activities)
    await driver.complete_activity(await driver.poll_activity())
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_eager(env: ScenarioEnv) -> Recording:
    """Eager dispatch hands tasks of the same queue out with the completion's answer."""
    record, driver = env.recording(), Driver(env)
    other = Driver(env, queue="other-queue")
    await driver.start()
    answer = await driver.step(
        schedule_activity("eager", driver.queue, request_eager_execution=True),
        schedule_activity("other", other.queue, request_eager_execution=True),
        schedule_activity("plain", driver.queue),
    )
    record.note("answer", answer)
    record.note("pending", _states(await driver.describe()))
    await driver.complete_activity(answer.activity_tasks[0])
    record.note("plain task", (await driver.poll_activity()).activity_id)
    await driver.terminate()
    record.events("history", await driver.history())
    return record


@scenario
async def activity_duplicate_id(env: ScenarioEnv) -> Recording:
    """An activity id that is pending fails the workflow task; one that ended may be used again."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue))
    await driver.complete_activity(await driver.poll_activity())
    await driver.step(schedule_activity("a", driver.queue))
    await driver.signal("wake")
    await record.call("duplicate", driver.step(schedule_activity("a", driver.queue)))
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def activity_answered_twice(env: ScenarioEnv) -> Recording:
    """An activity's second answer is refused, whatever it is; so is one after the workflow."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue), schedule_activity("b", driver.queue))
    first, second = await driver.poll_activity(), await driver.poll_activity()
    await driver.complete_activity(first)
    await record.call("complete again", driver.complete_activity(first))
    await record.call("fail again", driver.fail_activity(first, application_failure("late")))
    await record.call("cancel again", driver.cancel_activity(first))
    await record.call("heartbeat again", driver.heartbeat(first))
    await driver.terminate()
    await record.call("complete, closed", driver.complete_activity(second))
    await record.call("fail, closed", driver.fail_activity(second, application_failure("late")))
    await record.call("cancel, closed", driver.cancel_activity(second))
    await record.call("heartbeat, closed", driver.heartbeat(second))
    return record


@scenario
async def activity_stale_attempt(env: ScenarioEnv) -> Recording:
    """The token of an earlier attempt is refused once the next has started."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue, retry_policy=_QUICK))
    first = await driver.poll_activity()
    await driver.fail_activity(first, application_failure("one"))
    await record.call("complete in backoff", driver.complete_activity(first))
    second = await driver.poll_activity()
    await record.call("complete first attempt", driver.complete_activity(first))
    await record.call("heartbeat first attempt", driver.heartbeat(first))
    await record.call("complete second attempt", driver.complete_activity(second))
    await driver.terminate()
    return record


@scenario
async def activity_failure_is_truncated(env: ScenarioEnv) -> Recording:
    """The failure kept between attempts is cut when it is long; the event's is whole."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    policy = _QUICK | {"maximum_attempts": 2}
    await driver.step(schedule_activity("a", driver.queue, retry_policy=policy))
    long = application_failure("x" * 6000)
    await driver.fail_activity(await driver.poll_activity(), long)

    async def in_describe() -> DescribeWorkflowExecutionResponse:
        return await driver.describe()

    described = await until(in_describe, what="describe")
    kept = described.pending_activities[0].last_failure
    record.note("kept", {"source": kept.source, "length": len(kept.message)})
    record.note("kept info", kept.WhichOneof("failure_info"))
    await driver.fail_activity(await driver.poll_activity(), long)
    failed = await driver.event("ACTIVITY_TASK_FAILED")
    written = failed.activity_task_failed_event_attributes.failure
    record.note("written", {"source": written.source, "length": len(written.message)})
    await driver.terminate()
    return record


@scenario
async def activity_completes_in_any_order(env: ScenarioEnv) -> Recording:
    """Two activities end while a workflow task is started: the events are buffered in order."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(*(schedule_activity(name, driver.queue) for name in ("a", "b", "c")))
    tasks = {}
    for _ in range(3):
        task = await driver.poll_activity()
        tasks[task.activity_id] = task
    await driver.complete_activity(tasks["c"], "c")
    held = await driver.poll()
    await driver.complete_activity(tasks["b"], "b")
    await driver.fail_activity(tasks["a"], application_failure("a", non_retryable=True))
    record.note("ids while started", [e.event_id for e in await driver.history()])
    answer: RespondWorkflowTaskCompletedResponse = await driver.complete(held)
    record.note("answer", answer)
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


def _states(described: DescribeWorkflowExecutionResponse) -> dict[str, str]:
    pending = sorted(described.pending_activities, key=lambda activity: activity.activity_id)
    return {activity.activity_id: PendingActivityState.Name(activity.state) for activity in pending}
