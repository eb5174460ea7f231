"""`temporal activity` at a terminal, on activities of workflows."""

from conformance.commands import schedule_activity
from conformance.driver import Driver, application_failure
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.terminal import Terminal

_SLOW = {"initial_interval": {"seconds": 600}}


@scenario
async def terminal_activity(env: ScenarioEnv) -> Recording:
    """Pause, unpause, reset, update options, complete and fail."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue, retry_policy=_SLOW))
    await driver.fail_activity(await driver.poll_activity(), application_failure("broken"))
    target = f"--workflow-id={driver.workflow_id} --activity-id=a"
    await terminal.both(f"activity pause {target} --reason=because --identity=me")
    await terminal.both(f"workflow describe --workflow-id={driver.workflow_id}")
    await terminal.both(f"activity unpause {target}")
    await terminal.both(f"activity reset {target} --keep-paused")
    await terminal.both(f"activity reset {target} --clear-heartbeat-details")
    options = "--start-to-close-timeout=7s --heartbeat-timeout=3s --retry-maximum-attempts=3"
    await terminal.both(f"activity update-options {target} {options}")
    await terminal.both(f"activity update-options {target} --task-queue=other")
    await terminal.both(f"activity update-options {target} --restore-original-options")
    await terminal.both(f"activity update-options {target}")
    missing = f"--workflow-id={driver.workflow_id} --activity-id=missing"
    for command in ("pause", "unpause", "reset", "update-options --retry-maximum-attempts=3"):
        await terminal.both(f"activity {command} {missing}")
    await driver.terminate()
    for command in ("pause", "unpause", "reset", "update-options --retry-maximum-attempts=3"):
        await terminal.both(f"activity {command} {target}")
    terminal.events("history", await driver.history())
    return record


@scenario
async def terminal_activity_answers(env: ScenarioEnv) -> Recording:
    """Complete and fail an activity for its worker; answer twice; answer for nobody."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    names = ("a", "b", "c", "d")
    await driver.step(*(schedule_activity(name, driver.queue) for name in names))
    for _ in names:
        await driver.poll_activity()
    workflow = f"--workflow-id={driver.workflow_id}"
    complete, fail = f"activity complete {workflow}", f"activity fail {workflow}"
    await terminal.text(f"{complete} --activity-id=a --result='\"out\"'")
    await terminal.json(f"{complete} --activity-id=b --result='{{\"n\":1}}'")
    await terminal.both(f"{complete} --activity-id=b --result=2")
    await terminal.text(f"{fail} --activity-id=c --reason=broken --detail='\"more\"'")
    await terminal.json(f"{fail} --activity-id=d")
    await terminal.both(f"{fail} --activity-id=d")
    await terminal.both(f"{complete} --activity-id=a --result=no-json")
    await terminal.both(f"{complete} --activity-id=a")
    nobody = f"--workflow-id={env.name('nobody')} --activity-id=a"
    await terminal.both(f"activity complete {nobody} --result=1")
    await terminal.both(f"activity fail {nobody}")
    terminal.events("history", await driver.history())
    await driver.terminate()
    return record
