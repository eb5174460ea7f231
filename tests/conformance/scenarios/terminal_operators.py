"""`temporal operator`, `task-queue` and `worker` at a terminal."""

import grpc
from temporalio.api.workflowservice import v1 as wf

from conformance.driver import Driver, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import ScenarioEnv, scenario
from conformance.scenarios.workers import heartbeat, record_heartbeats
from conformance.terminal import Terminal, execute


async def _known(env: ScenarioEnv, namespace: str) -> None:
    async def known() -> bool:
        request = build(wf.CountWorkflowExecutionsRequest, namespace=namespace)
        try:
            await call(env, request, wf.CountWorkflowExecutionsResponse)
        except grpc.aio.AioRpcError:  # it is not known everywhere yet
            return False
        return True

    await until(known, what=f"namespace {namespace}")


@scenario
async def terminal_namespace(env: ScenarioEnv) -> Recording:
    """`operator namespace`: create, describe, update, list, delete."""
    record, space = env.recording(), env.name("space")
    terminal = Terminal(env, record)
    create = f"operator namespace create --namespace={space}"
    said = "--retention=24h --description=about --email=me@example.com --data=key=value"
    await terminal.text(f"{create} {said}")
    await terminal.both(f"{create} {said}")
    describe = f"operator namespace describe --namespace={space}"
    await _known(env, space)
    await terminal.both(describe)
    update = f"operator namespace update --namespace={space}"
    await terminal.text(f"{update} --retention=48h --description=other --data=more=1")
    await terminal.json(f"{update} --email=you@example.com")
    await terminal.both(describe)
    await terminal.both(f"operator namespace create --namespace={env.name('short')} --retention=1s")
    await terminal.both(f"{update} --retention=1s")
    nobody = "--namespace=no-such-namespace"
    await terminal.both(f"operator namespace describe {nobody}")
    await terminal.both(f"operator namespace update {nobody} --retention=48h")
    await terminal.both(f"operator namespace delete {nobody} --yes")
    await terminal.text(f"operator namespace delete --namespace={space} --yes")
    other = env.name("other")
    await execute(env, "operator", "namespace", "create", f"--namespace={other}")
    await _known(env, other)
    await terminal.json(f"operator namespace delete --namespace={other} --yes")
    return record


@scenario
async def terminal_namespace_list(env: ScenarioEnv) -> Recording:
    """`operator namespace list`: the default namespace among those listed."""
    record = env.recording()
    printed = await execute(env, "operator", "namespace", "list", "-o", "json")
    names = sorted(item["namespaceInfo"]["name"] for item in printed.json())
    found = [name for name in names if name in {"default", "temporal-system"}]
    record.note("temporal operator namespace list -o json", found)
    table = await execute(env, "operator", "namespace", "list")
    lines = [line.strip() for line in table.output.splitlines()]
    labels = sorted({line.split()[0] for line in lines if line})
    record.note("temporal operator namespace list", labels)
    return record


@scenario
async def terminal_search_attribute(env: ScenarioEnv) -> Recording:
    """`operator search-attribute`: create, list, remove."""
    record, space = env.recording(), env.name("space")
    terminal = Terminal(env, record)
    await execute(env, "operator", "namespace", "create", f"--namespace={space}")
    await _known(env, space)
    command, where = "operator search-attribute", f"--namespace={space}"
    await terminal.text(f"{command} create {where} --name=One --type=Keyword")
    await terminal.json(f"{command} create {where} --name=Two --type=Int")
    for kind in ("Text", "Double", "Bool", "Datetime", "KeywordList"):
        await terminal.text(f"{command} create {where} --name={kind}One --type={kind}")
    await terminal.both(f"{command} create {where} --name=One --type=Keyword")
    await terminal.both(f"{command} create {where} --name=One --type=Int")
    await terminal.both(f"{command} create {where} --name=RunId --type=Keyword")
    await terminal.text(f"{command} list {where}", unordered=True)
    await terminal.json(f"{command} list {where}")
    await terminal.text(f"{command} remove {where} --name=One --yes")
    await terminal.json(f"{command} remove {where} --name=Two --yes")
    await terminal.both(f"{command} remove {where} --name=Two --yes")
    await terminal.both(f"{command} remove {where} --name=RunId --yes")
    await terminal.both(f"{command} list --namespace=no-such-namespace")
    return record


@scenario
async def terminal_cluster(env: ScenarioEnv) -> Recording:
    """`operator cluster`: health, system, describe; and remote clusters."""
    record = env.recording()
    terminal = Terminal(env, record)
    await terminal.both("operator cluster health")
    await terminal.both("operator cluster system")
    await terminal.both("operator cluster describe")
    await terminal.both("operator cluster describe --detail")
    await terminal.both("operator cluster list")
    await terminal.both("operator cluster upsert --frontend-address=127.0.0.1:1")
    await terminal.both("operator cluster remove --name=nobody")
    return record


@scenario
async def terminal_task_queue(env: ScenarioEnv) -> Recording:
    """`task-queue`: describe in all ways, partitions, configuration."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    queue = f"--task-queue={driver.queue}"
    for more in (
        "",
        " --task-queue-type=workflow --disable-stats",
        " --task-queue-type=activity",
        " --task-queue-type=nexus",
        " --report-config",
        " --report-reachability",
        " --legacy-mode",
        " --legacy-mode --task-queue-type-legacy=activity",
        " --select-build-id=build --select-unversioned",
        " --select-all-active",
        " --namespace=no-such-namespace",
    ):
        await terminal.both(f"task-queue describe {queue}{more}", unordered=True)
    typed = f"{queue} --task-queue-type=activity"
    rate = "--queue-rps-limit=5 --queue-rps-limit-reason=why --identity=me"
    await terminal.both(f"task-queue config get {typed}")
    await terminal.both(f"task-queue config set {typed} {rate}")
    await terminal.both(f"task-queue config get {typed}")
    await terminal.both(f"task-queue describe {typed} --report-config")
    await terminal.both(f"task-queue config set {typed} --queue-rps-limit=default")
    await terminal.both(f"task-queue config set {typed} --queue-rps-limit=-1")
    await terminal.both(f"task-queue config set {typed} --fairness-key-rps-limit-default=2")
    await terminal.both(f"task-queue list-partition {queue}")
    return record


@scenario
async def terminal_task_queue_pollers(env: ScenarioEnv) -> Recording:
    """`task-queue describe` of a queue with a poller and a backlog."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    await driver.step()
    await driver.signal("wake")
    queue = f"--task-queue={driver.queue}"

    async def backlog() -> bool:
        line = f"task-queue describe {queue} --task-queue-type=workflow -o json"
        printed = await execute(env, *line.split())
        return bool(printed.json()["stats"][0]["approximateBacklogCount"])

    await until(backlog, what="a backlog")
    await terminal.text(f"task-queue describe {queue} --disable-stats --task-queue-type=workflow")
    await terminal.text(f"task-queue describe {queue} --legacy-mode")
    await driver.terminate()
    return record


@scenario
async def terminal_task_queue_versions(env: ScenarioEnv) -> Recording:
    """`task-queue`: the commands of earlier ways of worker versioning."""
    record = env.recording()
    terminal = Terminal(env, record)
    queue = f"--task-queue={env.name('queue')}"
    ids, rules = "task-queue update-build-ids", f"task-queue versioning {queue}"
    for line in (
        f"task-queue get-build-ids {queue}",
        f"task-queue get-build-id-reachability {queue} --build-id=build",
        f"{ids} add-new-default {queue} --build-id=build",
        f"{ids} add-new-compatible {queue} --build-id=new --existing-compatible-build-id=build",
        f"{ids} promote-id-in-set {queue} --build-id=build",
        f"{ids} promote-set {queue} --build-id=build",
        f"{rules} get-rules",
        f"{rules} insert-assignment-rule --build-id=build --yes",
        f"{rules} replace-assignment-rule --build-id=build --rule-index=0 --yes",
        f"{rules} delete-assignment-rule --rule-index=0 --yes",
        f"{rules} add-redirect-rule --source-build-id=a --target-build-id=b --yes",
        f"{rules} replace-redirect-rule --source-build-id=a --target-build-id=b --yes",
        f"{rules} delete-redirect-rule --source-build-id=a --yes",
        f"{rules} commit-build-id --build-id=build --yes",
    ):
        await terminal.both(line)
    return record


@scenario
async def terminal_worker(env: ScenarioEnv) -> Recording:
    """`worker`: list, describe, count."""
    record = env.recording()
    terminal = Terminal(env, record)
    await record_heartbeats(env, heartbeat(env, "a"))
    mine = f"--query=\"TaskQueue = '{env.name('queue')}'\""
    key = f"--worker-instance-key={env.name('a')}"
    await terminal.both(f"worker list {mine}")
    await terminal.both(f"worker list {mine} --limit=1")
    await terminal.both(f"worker count {mine}")
    await terminal.both(f"worker describe {key}")
    await terminal.both(f"worker describe --worker-instance-key={env.name('missing')}")
    await terminal.both('worker list --query="Nope = 1"')
    await terminal.both('worker count --query="Nope = 1"')
    return record
