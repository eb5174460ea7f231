"""`temporal` at a terminal: activities and Nexus operations without a workflow, deployments."""

from conformance.driver import Driver
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.terminal import Terminal

_COMPUTE = (
    "--aws-lambda-function-arn=arn:aws:lambda:us-east-1:123456789012:function:work"
    " --aws-lambda-skip-role-and-external-id"
)


@scenario
async def terminal_standalone_activity(env: ScenarioEnv) -> Recording:
    """`activity`: the commands on activities without a workflow."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    start = f"--type=Work --task-queue={driver.queue} --start-to-close-timeout=10s"
    activity = f"--activity-id={env.name('activity')}"
    await terminal.text(f"activity start {activity} {start}")
    await terminal.text(f"activity describe {activity}")
    await terminal.text(f"activity cancel {activity} --reason=because")
    await terminal.text(f"activity terminate {activity} --reason=because")
    await terminal.text(f"activity result {activity}")
    await terminal.text(f"activity delete {activity} --yes")
    await terminal.both('activity list --query="Nope = 1"')
    await terminal.both(f"activity count --query=\"ActivityId = '{env.name('nobody')}'\"")
    execute = f"activity execute {activity} --type=Work --task-queue={driver.queue}"
    await terminal.both(execute)
    await terminal.text(f"{execute} --schedule-to-close-timeout=1s")
    await terminal.both(f"activity pause --activity-id={env.name('nobody')}")
    return record


@scenario
async def terminal_nexus(env: ScenarioEnv) -> Recording:
    """`operator nexus endpoint` and `nexus operation`."""
    record = env.recording()
    terminal = Terminal(env, record)
    endpoint = f"--name={env.name('endpoint')}"
    target = f"--target-namespace=default --target-task-queue={env.name('queue')}"
    await terminal.text(f"operator nexus endpoint create {endpoint} {target}")
    await terminal.text(f"operator nexus endpoint get {endpoint}")
    await terminal.text(f"operator nexus endpoint update {endpoint} --description=about")
    await terminal.text(f"operator nexus endpoint delete {endpoint}")
    await terminal.both(f"operator nexus endpoint get {endpoint}")
    await terminal.text("operator nexus endpoint list --namespace=no-such-namespace")
    operation = f"--operation-id={env.name('operation')}"
    called = f"--endpoint={env.name('endpoint')} --service=service --operation=operation"
    for line in (
        f"start {operation} {called}",
        f"execute {operation} {called}",
        f"describe {operation}",
        f"result {operation}",
        f"cancel {operation}",
        f"terminate {operation}",
        "list",
        "count",
    ):
        await terminal.both(f"nexus operation {line}")
    return record


@scenario
async def terminal_worker_deployment(env: ScenarioEnv) -> Recording:
    """`worker deployment`."""
    record = env.recording()
    terminal = Terminal(env, record)
    name = env.name("deployment")
    named, version = f"--name={name}", f"--deployment-name={name} --build-id=build"
    for line in (
        f"create {named}",
        f"create-version {version}",
        f"create-version {version} {_COMPUTE}",
        f"describe {named}",
        f"describe-version {version}",
        f"update-version-metadata {version} --metadata=key=1",
        f"update-version-compute-config {version} --remove",
        f"manager-identity set --deployment-name={name} --manager-identity=me --yes",
        f"manager-identity unset --deployment-name={name} --yes",
        f"set-current-version {version} --yes",
        f"set-ramping-version {version} --percentage=5 --yes",
        f"delete-version {version}",
        f"delete {named}",
        "list --namespace=no-such-namespace",
    ):
        await terminal.text(f"worker deployment {line}")
    return record
