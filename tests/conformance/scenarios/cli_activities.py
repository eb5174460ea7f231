"""The `temporal activity` commands on activities of workflows."""

from conformance.commands import complete_workflow, schedule_activity
from conformance.driver import Driver, application_failure
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.scenarios.cli import temporal

_SLOW = {"initial_interval": {"seconds": 600}}


@scenario
async def cli_activity(env: ScenarioEnv) -> Recording:
    """Pause, unpause, reset, update options, complete and fail."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(
        *(schedule_activity(name, driver.queue, retry_policy=_SLOW) for name in ("a", "b"))
    )
    workflow = f"--workflow-id={driver.workflow_id}"
    described = ("workflow", "describe", workflow)

    async def command(name: str, *arguments: str, activity: str = "a") -> None:
        count = sum(step.startswith(f"{name} ") for step in record.steps)
        step = " ".join((name, str(count + 1), *arguments))
        answer = await temporal(
            env, "activity", name, f"--activity-id={activity}", workflow, *arguments
        )
        record.note(step, answer)

    await command("pause", "--reason=why", "--identity=me")
    activities = (await temporal(env, *described))["pendingActivities"]
    record.note("described", sorted(activities, key=lambda activity: activity["activityId"]))
    await command("pause")
    await command("unpause")
    task = await driver.poll_activity()
    if task.activity_id != "a":
        task = await driver.poll_activity()
    await driver.fail_activity(task, application_failure("one"))
    await command("reset", "--keep-paused")
    await command("reset", "--clear-heartbeat-details", "--restore-original-options")
    await command(
        "update-options",
        "--start-to-close-timeout=7s",
        "--retry-maximum-attempts=3",
    )
    await command("update-options", "--restore-original-options")
    await command("pause", activity="missing")
    await command("complete", '--result="out"')
    await command("fail", "--reason=broken", '--detail="more"', activity="b")
    record.note(
        "pause without a workflow", await temporal(env, "activity", "pause", "--activity-id=a")
    )
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record
