"""Workers that say that they are alive, and what operators see of them."""

from typing import Any

from temporalio.api.workflowservice import v1 as wf

from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import IDENTITY, NAMESPACE, ScenarioEnv, scenario

_STARTED = {"seconds": 1_700_000_000}


def heartbeat(env: ScenarioEnv, name: str, **fields: Any) -> dict[str, Any]:
    """Returns a worker's heartbeat; its key and its queue are this run's own."""
    defaults: dict[str, Any] = {
        "worker_instance_key": env.name(name),
        "worker_identity": f"identity-{name}",
        "host_info": {
            "host_name": f"host-{name}",
            "process_id": "7",
            "worker_grouping_key": "group",
            "current_host_cpu_usage": 0.5,
        },
        "task_queue": env.name("queue"),
        "deployment_version": {"deployment_name": "deployment", "build_id": f"build-{name}"},
        "sdk_name": "temporal-conformance",
        "sdk_version": "1.2.3",
        "status": "WORKER_STATUS_RUNNING",
        "start_time": _STARTED,
        "heartbeat_time": {"seconds": 1_700_000_100},
        "workflow_task_slots_info": {"current_available_slots": 3, "slot_supplier_kind": "Fixed"},
        "total_sticky_cache_hit": 4,
        "plugins": [{"name": "plugin", "version": "1"}],
    }
    return defaults | fields


async def record_heartbeats(
    env: ScenarioEnv, *heartbeats: dict[str, Any], **fields: Any
) -> wf.RecordWorkerHeartbeatResponse:
    """RecordWorkerHeartbeat."""
    request = build(
        wf.RecordWorkerHeartbeatRequest,
        **{"namespace": NAMESPACE, "identity": IDENTITY, "worker_heartbeat": heartbeats} | fields,
    )
    return await call(env, request, wf.RecordWorkerHeartbeatResponse)


async def list_workers(env: ScenarioEnv, query: str, **fields: Any) -> wf.ListWorkersResponse:
    """ListWorkers."""
    request = build(wf.ListWorkersRequest, **{"namespace": NAMESPACE, "query": query} | fields)
    return await call(env, request, wf.ListWorkersResponse)


async def describe_worker(env: ScenarioEnv, key: str) -> wf.DescribeWorkerResponse:
    """DescribeWorker."""
    request = build(wf.DescribeWorkerRequest, namespace=NAMESPACE, worker_instance_key=key)
    return await call(env, request, wf.DescribeWorkerResponse)


async def count_workers(env: ScenarioEnv, query: str, **fields: Any) -> wf.CountWorkersResponse:
    """CountWorkers."""
    request = build(wf.CountWorkersRequest, **{"namespace": NAMESPACE, "query": query} | fields)
    return await call(env, request, wf.CountWorkersResponse)


@scenario
async def worker_heartbeats(env: ScenarioEnv) -> Recording:
    """Two workers are listed, described and counted; one shuts down."""
    record = env.recording()
    mine = f"TaskQueue = '{env.name('queue')}'"
    await record.call("heartbeat", record_heartbeats(env, heartbeat(env, "a"), heartbeat(env, "b")))
    listed = await list_workers(env, mine)
    listed.workers.sort(key=lambda worker: worker.worker_identity)
    listed.workers_info.sort(key=lambda info: info.worker_heartbeat.worker_identity)
    record.note("list", listed)
    await record.call("describe", describe_worker(env, env.name("a")))
    await record.call("count", count_workers(env, mine))
    again = heartbeat(env, "a", status="WORKER_STATUS_SHUTTING_DOWN", sdk_version="1.2.4")
    await record.call("heartbeat again", record_heartbeats(env, again))
    await record.call("describe again", describe_worker(env, env.name("a")))
    shutdown = build(
        wf.ShutdownWorkerRequest,
        namespace=NAMESPACE,
        worker_instance_key=env.name("b"),
        worker_heartbeat=heartbeat(env, "b", status="WORKER_STATUS_SHUTDOWN"),
        identity=IDENTITY,
    )
    await record.call("shut down", call(env, shutdown, wf.ShutdownWorkerResponse))
    await record.call("describe shut down", describe_worker(env, env.name("b")))
    await record.call("count with it", count_workers(env, mine))
    await record.call("describe unknown", describe_worker(env, env.name("c")))
    return record


@scenario
async def worker_pages(env: ScenarioEnv) -> Recording:
    """Workers are listed in pages."""
    record = env.recording()
    mine = f"TaskQueue = '{env.name('queue')}'"
    await record_heartbeats(env, *(heartbeat(env, f"w{number}") for number in range(5)))
    seen: list[str] = []
    sizes: list[int] = []
    token = b""
    while not sizes or token:
        page = await list_workers(env, mine, page_size=2, next_page_token=token)
        seen.extend(worker.worker_identity for worker in page.workers)
        sizes.append(len(page.workers))
        token = page.next_page_token
    record.note("seen", seen)
    record.note("sizes", sizes)
    for size in (-1, 0, 5, 6, 100_000):
        page = await list_workers(env, mine, page_size=size)
        record.note(f"page of {size}", [len(page.workers), bool(page.next_page_token)])
    bad = list_workers(env, mine, page_size=2, next_page_token=b"zz")
    await record.call("bad token", bad)
    return record


_QUERIES = (
    "WorkerIdentity = 'identity-a'",
    "WorkerIdentity != 'identity-a'",
    "WorkerIdentity STARTS_WITH 'identity'",
    "WorkerIdentity NOT STARTS_WITH 'identity-a'",
    "WorkerIdentity > 'identity-a'",
    "WorkerIdentity IN ('identity-a', 'x')",
    "WorkerIdentity IS NULL",
    "WorkerIdentity IS NOT NULL",
    "WorkerIdentity = ''",
    "WorkerIdentity = 5",
    "WorkerIdentity = identity",
    'WorkerIdentity = "identity-a"',
    "WorkerIdentity LIKE 'identity%'",
    "WorkerIdentity BETWEEN 'a' AND 'z'",
    "HostName = 'host-b'",
    "DeploymentName = 'deployment'",
    "DeploymentName IS NULL",
    "BuildId = 'build-a'",
    "SdkName = 'temporal-conformance' AND SdkVersion = '1.2.3'",
    "SdkVersion = '9' OR HostName = 'host-a'",
    "(SdkVersion = '9' OR HostName = 'host-a') AND BuildId = 'build-b'",
    "NOT HostName = 'host-a'",
    "WorkerStatus = 'Running'",
    "WorkerStatus = 'WORKER_STATUS_RUNNING'",
    "Status = 'Running'",
    "status = 'Running'",
    "Status != 'Running'",
    "Status = 1",
    "WorkerGroupingKey = 'group'",
    "ProcessId = '7'",
    "StartTime = '2023-11-14T22:13:20Z'",
    "StartTime != '2023-11-14T22:13:20Z'",
    "StartTime > '2023-01-01T00:00:00Z'",
    "StartTime >= '2023-11-14T22:13:20Z'",
    "StartTime < '2023-11-14T22:13:20Z'",
    "StartTime <= '2023-11-14T22:13:20Z'",
    "StartTime BETWEEN '2023-01-01T00:00:00Z' AND '2024-01-01T00:00:00Z'",
    "StartTime NOT BETWEEN '2023-01-01T00:00:00Z' AND '2024-01-01T00:00:00Z'",
    "StartTime IS NULL",
    "StartTime IS NOT NULL",
    "StartTime STARTS_WITH '2023'",
    "StartTime > 'yesterday'",
    "StartTime > '2023-01-01'",
    "StartTime > 1700000000000000000",
    "StartTime BETWEEN 'a' AND '2024-01-01T00:00:00Z'",
    "HeartbeatTime > '2023-01-01T00:00:00Z'",
    "Nope = 'x'",
    "Nope IS NULL",
    "Nope BETWEEN 'a' AND 'b'",
    "workeridentity = 'identity-a'",
    "`WorkerIdentity` = 'identity-a'",
    "WorkerIdentity",
    "'a' = 'a'",
    "1 = 1",
    "WorkerIdentity = WorkerIdentity",
    "WorkerIdentity = 'a",
    "WorkerIdentity =",
    "= 'a'",
    "HostName = 'host-a' LIMIT 1",
    "HostName = 'host-a' ORDER BY StartTime",
    "HostName = 'host-a' GROUP BY Status",
    "f(HostName) = 'a'",
    "WorkerIdentity IS TRUE",
    "HostName = 'host-a';",
    "total_sticky_cache_hit > 1",
    "   ",
)


@scenario
async def worker_queries(env: ScenarioEnv) -> Recording:
    """What may be asked of workers, and what is refused."""
    record = env.recording()
    bare = heartbeat(env, "c")
    for field in ("host_info", "deployment_version", "start_time", "status", "sdk_version"):
        del bare[field]
    await record_heartbeats(env, heartbeat(env, "a"), heartbeat(env, "b"), bare)
    mine = f"TaskQueue = '{env.name('queue')}'"
    for query in _QUERIES:
        whole = query if not query.strip() else f"{mine} AND {query}"

        def identities(answer: wf.ListWorkersResponse) -> list[str]:
            mine = [worker for worker in answer.workers if worker.task_queue == env.name("queue")]
            return sorted(worker.worker_identity for worker in mine)

        await record.call(query, list_workers(env, whole), show=identities)
    await record.call("count: or", count_workers(env, f"{mine} AND HostName = 'host-a'"))
    await record.call("count: refused", count_workers(env, "Nope = 'x'"))
    return record


@scenario
async def worker_requests_refused(env: ScenarioEnv) -> Recording:
    """Heartbeats and questions without what they need; configurations of workers."""
    record = env.recording()
    cases: dict[str, dict[str, Any]] = {
        "no key": {"worker_instance_key": ""},
        "no queue": {"task_queue": ""},
        "nothing": {
            name: None for name in heartbeat(env, "x") if name not in {"plugins", "status"}
        },
    }
    for case, fields in cases.items():
        await record.call(
            f"heartbeat: {case}", record_heartbeats(env, heartbeat(env, "x", **fields))
        )
    await record.call("heartbeat: none", record_heartbeats(env))
    nowhere = {"namespace": "no-such-namespace"}
    await record.call("heartbeat: nowhere", record_heartbeats(env, heartbeat(env, "x"), **nowhere))
    await record.call("heartbeat: no namespace", record_heartbeats(env, namespace=""))
    await record.call("list: nowhere", list_workers(env, "", **nowhere))
    await record.call("count: nowhere", count_workers(env, "", **nowhere))
    fetch = build(wf.FetchWorkerConfigRequest, namespace=NAMESPACE, identity=IDENTITY)
    await record.call("fetch", call(env, fetch, wf.FetchWorkerConfigResponse))
    update = build(wf.UpdateWorkerConfigRequest, namespace=NAMESPACE, identity=IDENTITY)
    await record.call("update", call(env, update, wf.UpdateWorkerConfigResponse))
    describe = build(wf.DescribeNamespaceRequest, namespace=NAMESPACE)
    answer = await call(env, describe, wf.DescribeNamespaceResponse)
    record.note("capability", answer.namespace_info.capabilities.worker_heartbeats)
    return record
