"""Namespaces, system and cluster information, listing and counting workflows, task queues."""

from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from temporalio.api.operatorservice import v1 as op
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow, fail_workflow, search_value
from conformance.driver import WORKER, Driver, application_failure, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_DAY = {"seconds": 86_400}


@scenario
async def namespaces(env: ScenarioEnv) -> Recording:
    """A namespace is registered, described, updated and listed."""
    record, name = env.recording(), env.name("space")
    register = build(
        wf.RegisterNamespaceRequest,
        namespace=name,
        description="text",
        owner_email="a@example.com",
        workflow_execution_retention_period=_DAY,
        data={"key": "value"},
    )
    await record.call("register", call(env, register, wf.RegisterNamespaceResponse))
    await record.call("register again", call(env, register, wf.RegisterNamespaceResponse))
    describe = build(wf.DescribeNamespaceRequest, namespace=name)
    described = await record.call("describe", call(env, describe, wf.DescribeNamespaceResponse))
    assert described is not None
    by_id = build(wf.DescribeNamespaceRequest, id=described.namespace_info.id)
    await record.call("describe by id", call(env, by_id, wf.DescribeNamespaceResponse))
    update = build(
        wf.UpdateNamespaceRequest,
        namespace=name,
        update_info={"description": "other", "data": {"more": "1"}},
        config={"workflow_execution_retention_ttl": {"seconds": 7_200}},
    )
    await record.call("update", call(env, update, wf.UpdateNamespaceResponse))
    await record.call("describe updated", call(env, describe, wf.DescribeNamespaceResponse))
    listed = await call(
        env, build(wf.ListNamespacesRequest, page_size=100), wf.ListNamespacesResponse
    )
    found = [space for space in listed.namespaces if space.namespace_info.name == name]
    record.note("listed", found)
    deprecate = build(wf.DeprecateNamespaceRequest, namespace=name)
    await record.call("deprecate", call(env, deprecate, wf.DeprecateNamespaceResponse))
    await record.call("describe deprecated", call(env, describe, wf.DescribeNamespaceResponse))
    return record


@scenario
async def namespaces_refused(env: ScenarioEnv) -> Recording:
    """Namespaces without name or retention, with a short one, and unknown ones."""
    record = env.recording()
    cases: dict[str, dict[str, Any]] = {
        "no name": {"namespace": "", "workflow_execution_retention_period": _DAY},
        "no retention": {"namespace": env.name("a")},
        "short retention": {
            "namespace": env.name("b"),
            "workflow_execution_retention_period": {"seconds": 60},
        },
        "negative retention": {
            "namespace": env.name("c"),
            "workflow_execution_retention_period": {"seconds": -1},
        },
        "long name": {"namespace": "n" * 1001, "workflow_execution_retention_period": _DAY},
        "global": {
            "namespace": env.name("d"),
            "workflow_execution_retention_period": _DAY,
            "is_global_namespace": True,
        },
        "unknown cluster": {
            "namespace": env.name("e"),
            "workflow_execution_retention_period": _DAY,
            "active_cluster_name": "elsewhere",
        },
    }
    for name, fields in cases.items():
        request = build(wf.RegisterNamespaceRequest, **fields)
        await record.call(f"register: {name}", call(env, request, wf.RegisterNamespaceResponse))
    for name, describe in {
        "nothing": build(wf.DescribeNamespaceRequest),
        "unknown name": build(wf.DescribeNamespaceRequest, namespace="no-such-namespace"),
        "unknown id": build(wf.DescribeNamespaceRequest, id="01234567-89ab-7def-8123-456789abcdef"),
    }.items():
        await record.call(f"describe: {name}", call(env, describe, wf.DescribeNamespaceResponse))
    update = build(wf.UpdateNamespaceRequest, namespace="no-such-namespace")
    await record.call("update: unknown", call(env, update, wf.UpdateNamespaceResponse))
    update = build(
        wf.UpdateNamespaceRequest,
        namespace=NAMESPACE,
        config={"workflow_execution_retention_ttl": {"seconds": 60}},
    )
    await record.call("update: short retention", call(env, update, wf.UpdateNamespaceResponse))
    return record


@scenario
async def search_attribute_registry(env: ScenarioEnv) -> Recording:
    """Search attributes of a namespace are listed; adding known and reserved ones."""
    record = env.recording()
    request = build(op.ListSearchAttributesRequest, namespace=NAMESPACE)
    listed = await call(env, request, op.ListSearchAttributesResponse)
    ours = {
        k: v for k, v in sorted(listed.custom_attributes.items()) if k.startswith("Conformance")
    }
    record.note("custom", ours)
    record.note("system", dict(sorted(listed.system_attributes.items())))
    for name, kind in {"ConformanceInt": 3, "WorkflowId": 2, "ConformanceBool": 2}.items():
        add = build(
            op.AddSearchAttributesRequest,
            namespace=NAMESPACE,
            search_attributes={name: kind},
        )
        await record.call(f"add {name!r} as {kind}", call(env, add, op.AddSearchAttributesResponse))
    return record


@scenario
async def list_and_count(env: ScenarioEnv) -> Recording:
    """Workflows are listed and counted by basic queries, newest first, in pages."""
    record = env.recording()
    color = env.name("color")
    attributes = {"indexed_fields": {"ConformanceKeyword": search_value("Keyword", f'"{color}"')}}
    for number, close in enumerate((complete_workflow(), fail_workflow(application_failure("no")))):
        driver = Driver(env, workflow=f"wf-{number}", queue=f"queue-{number}")
        await driver.start(search_attributes=attributes)
        await driver.step(close)
    last = Driver(env, workflow="wf-open")
    await last.start(search_attributes=attributes)
    mine = f"ConformanceKeyword = '{color}'"
    queries = {
        "mine": mine,
        "running": f"{mine} AND ExecutionStatus = 'Running'",
        "not running": f"{mine} AND ExecutionStatus != 'Running'",
        "failed or running": f"{mine} AND ExecutionStatus IN ('Failed', 'Running')",
        "by id": f"WorkflowId = '{last.workflow_id}'",
        "by type": f"{mine} AND WorkflowType = 'Conformance'",
        "starts with": f"{mine} AND WorkflowId STARTS_WITH 'wf-0'",
        "either": f"{mine} AND (WorkflowType = 'Other' OR ExecutionStatus = 'Completed')",
    }

    async def three() -> bool:
        request = build(
            wf.CountWorkflowExecutionsRequest,
            namespace=NAMESPACE,
            query=f"{mine} AND ExecutionStatus = 'Running'",
        )
        running = await call(env, request, wf.CountWorkflowExecutionsResponse)
        request.query = f"{mine} AND ExecutionStatus IN ('Completed', 'Failed')"
        closed = await call(env, request, wf.CountWorkflowExecutionsResponse)
        return (running.count, closed.count) == (1, 2)

    await until(three, what="all three workflows in visibility")
    for name, query in queries.items():
        request = build(wf.ListWorkflowExecutionsRequest, namespace=NAMESPACE, query=query)
        listed = await call(env, request, wf.ListWorkflowExecutionsResponse)
        record.note(f"list {name}", [item.execution.workflow_id for item in listed.executions])
    request = build(wf.ListWorkflowExecutionsRequest, namespace=NAMESPACE, query=mine, page_size=2)
    page = await record.call("first page", call(env, request, wf.ListWorkflowExecutionsResponse))
    assert page is not None
    request.next_page_token = page.next_page_token
    await record.call("second page", call(env, request, wf.ListWorkflowExecutionsResponse))
    count = build(
        wf.CountWorkflowExecutionsRequest,
        namespace=NAMESPACE,
        query=f"{mine} GROUP BY ExecutionStatus",
    )
    await record.call("count by status", call(env, count, wf.CountWorkflowExecutionsResponse))
    await last.terminate()
    return record


@scenario
async def visibility_queries_refused(env: ScenarioEnv) -> Recording:
    """Queries that are not valid, listed and counted."""
    record = env.recording()
    queries = {
        "syntax": "WorkflowId = ",
        "limit": "WorkflowId = 'a' limit 3",
        "order": "WorkflowId = 'a' ORDER BY StartTime",
        "unknown name": "Foo = 'a'",
        "unknown status": "ExecutionStatus = 'Bogus'",
        "like": "WorkflowId LIKE 'a%'",
        "date only": "StartTime > '2020-01-01'",
        "int as text": "ConformanceInt = 'x'",
        "keyword as number": "WorkflowId = 5",
        "unquoted": "WorkflowId = a",
        "starts with on int": "ConformanceInt STARTS_WITH 'a'",
        "group in count": "GROUP BY WorkflowType",
    }
    for name, query in queries.items():
        listing = build(wf.ListWorkflowExecutionsRequest, namespace=NAMESPACE, query=query)
        await record.call(
            f"list: {name}",
            call(env, listing, wf.ListWorkflowExecutionsResponse),
            show=lambda _: "OK",
        )
        count = build(wf.CountWorkflowExecutionsRequest, namespace=NAMESPACE, query=query)
        await record.call(
            f"count: {name}",
            call(env, count, wf.CountWorkflowExecutionsResponse),
            show=lambda _: "OK",
        )
    for name, fields in {"no namespace": {}, "unknown": {"namespace": "no-such-namespace"}}.items():
        listing = build(wf.ListWorkflowExecutionsRequest, **fields)
        await record.call(name, call(env, listing, wf.ListWorkflowExecutionsResponse))
    return record


@scenario
async def system_info(env: ScenarioEnv) -> Recording:
    """What the server says it can do, and that its health service answers."""
    record = env.recording()
    info = await call(
        env,
        build(wf.GetSystemInfoRequest),
        wf.GetSystemInfoResponse,
    )
    record.note("capabilities", info.capabilities)
    cluster = await call(
        env,
        build(wf.GetClusterInfoRequest),
        wf.GetClusterInfoResponse,
    )
    record.note("client versions", dict(cluster.supported_clients))
    record.note("is set", {"version": bool(cluster.server_version), "id": bool(cluster.cluster_id)})
    record.note("health", await _health(env, "temporal.api.workflowservice.v1.WorkflowService"))
    record.note("health of all", await _health(env, ""))
    record.note("health of none", await _health(env, "no.such.Service"))
    return record


@scenario
async def describe_task_queue(env: ScenarioEnv) -> Recording:
    """A task queue's pollers are described."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(complete_workflow())
    request = build(
        wf.DescribeTaskQueueRequest,
        namespace=NAMESPACE,
        task_queue={"name": driver.queue},
        task_queue_type="TASK_QUEUE_TYPE_WORKFLOW",
    )
    described = await call(env, request, wf.DescribeTaskQueueResponse)
    record.note("pollers", [poller.identity == WORKER for poller in described.pollers])
    request.task_queue.name = env.name("nobody")
    await record.call("nobody", call(env, request, wf.DescribeTaskQueueResponse))
    request.task_queue.name = ""
    await record.call("no name", call(env, request, wf.DescribeTaskQueueResponse))
    return record


async def _health(env: ScenarioEnv, service: str) -> str:
    method = env.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        answer = await method(health_pb2.HealthCheckRequest(service=service))
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
