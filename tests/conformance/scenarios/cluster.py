"""Namespaces, system and cluster information, listing and counting workflows, task queues."""

from functools import partial
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from temporalio.api.operatorservice import v1 as op
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow, fail_workflow, search_value
from conformance.driver import WORKER, Driver, application_failure, code_of, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import IDENTITY, NAMESPACE, ScenarioEnv, scenario
from conformance.scenarios.visibility import patiently

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
async def namespace_of_the_system(env: ScenarioEnv) -> Recording:
    """The system's own namespace is listed, described and changed, and runs workflows."""
    record, space = env.recording(), "temporal-system"
    describe = build(wf.DescribeNamespaceRequest, namespace=space)
    described = await record.call("describe", call(env, describe, wf.DescribeNamespaceResponse))
    assert described is not None
    record.note("id", described.namespace_info.id.split("-"))
    listed = await call(
        env, build(wf.ListNamespacesRequest, page_size=100), wf.ListNamespacesResponse
    )
    record.note("listed", sum(item.namespace_info.name == space for item in listed.namespaces))
    day = build(wf.RegisterNamespaceRequest, namespace=space)
    day.workflow_execution_retention_period.seconds = 86_400
    await record.call("register", call(env, day, wf.RegisterNamespaceResponse))
    for description in ("changed", described.namespace_info.description):
        update = build(
            wf.UpdateNamespaceRequest, namespace=space, update_info={"description": description}
        )
        await record.call(f"update: {description}", call(env, update, wf.UpdateNamespaceResponse))
    attributes = build(op.ListSearchAttributesRequest, namespace=space)
    answer = await call(env, attributes, op.ListSearchAttributesResponse)
    record.note("custom search attributes", dict(answer.custom_attributes))
    start = build(
        wf.StartWorkflowExecutionRequest,
        namespace=space,
        workflow_id=env.name("wf"),
        workflow_type={"name": "Conformance"},
        task_queue={"name": env.name("queue")},
        request_id=env.name("request"),
        identity=IDENTITY,
    )
    started = await record.call("start", call(env, start, wf.StartWorkflowExecutionResponse))
    assert started is not None
    terminate = build(
        wf.TerminateWorkflowExecutionRequest,
        namespace=space,
        workflow_execution={"workflow_id": start.workflow_id},
        identity=IDENTITY,
    )
    await record.call("terminate", call(env, terminate, wf.TerminateWorkflowExecutionResponse))
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
async def search_attribute_limits(env: ScenarioEnv) -> Recording:
    """A namespace with blanks in its name takes three search attributes of a type, then no more."""
    record, space = env.recording(), env.name("with blanks in it")
    register = build(
        wf.RegisterNamespaceRequest, namespace=space, workflow_execution_retention_period=_DAY
    )
    await record.call("register", call(env, register, wf.RegisterNamespaceResponse))

    async def add(step: str, **types: int) -> None:
        request = build(
            op.AddSearchAttributesRequest, namespace=space, search_attributes=dict(types)
        )
        await record.call(step, call(env, request, op.AddSearchAttributesResponse))

    await add("three", BoolA=5, BoolB=5, BoolC=5)
    await add("a fourth", BoolD=5)
    await add("one of them again", BoolA=5)
    await add("one of another type", TextA=1)
    await add("a known one, as another type", TextA=5)
    await add("nothing")
    await add("of no type", Untyped=0)
    await add("of an unknown type", Unknown=99)
    await add("reserved", ExecutionStatus=2)
    await add("with the reserved prefix", TemporalMine=2)
    remove = build(op.RemoveSearchAttributesRequest, namespace=space)
    for name in ("BoolC", "Nope", "WorkflowId"):
        remove.search_attributes[:] = [name]
        await record.call(f"remove {name}", call(env, remove, op.RemoveSearchAttributesResponse))
    listing = build(op.ListSearchAttributesRequest, namespace=space)
    listed = await call(env, listing, op.ListSearchAttributesResponse)
    record.note("listed", dict(sorted(listed.custom_attributes.items())))
    return record


@scenario
async def listing_bounds(env: ScenarioEnv) -> Recording:
    """Page sizes out of range are put right; a page token that is none is refused."""
    record, driver = env.recording(), Driver(env)
    started = await driver.start(request_id="")
    record.note("started without a request id", started.started)
    query = f"WorkflowId = '{driver.workflow_id}'"

    async def visible() -> bool:
        count = build(wf.CountWorkflowExecutionsRequest, namespace=NAMESPACE, query=query)
        return bool((await call(env, count, wf.CountWorkflowExecutionsResponse)).count)

    await until(visible, what="the workflow in visibility")
    request = build(wf.ListWorkflowExecutionsRequest, namespace=NAMESPACE, query=query)
    for size in (0, 1, 1_000, 1_001, -1):
        request.page_size = size
        listed = await call(env, request, wf.ListWorkflowExecutionsResponse)
        record.note(f"page of {size}", len(listed.executions))
    request.next_page_token = b"zz"
    token = call(env, request, wf.ListWorkflowExecutionsResponse)
    record.note("bad page token", await code_of(token))
    for text in (
        "ExecutionStatus = 1 AND ExecutionDuration > '1s'",
        "GROUP BY ExecutionStatus, WorkflowType",
        "WorkflowId = 'a' limit 3",
    ):
        count = build(wf.CountWorkflowExecutionsRequest, namespace=NAMESPACE, query=text)
        await record.call(
            text, call(env, count, wf.CountWorkflowExecutionsResponse), show=lambda _: "OK"
        )
    await driver.terminate()
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
async def namespace_divisions(env: ScenarioEnv) -> Recording:
    """Runs of a namespace division are shown only to queries that name divisions."""
    record = env.recording()
    color = env.name("color")
    for division in ("", "Mine", "Other"):
        driver = Driver(env, workflow=f"wf-{division or 'plain'}")
        fields = {"ConformanceKeyword": search_value("Keyword", f'"{color}"')}
        if division:
            fields["TemporalNamespaceDivision"] = search_value("Keyword", f'"{division}"')
        await driver.start(search_attributes={"indexed_fields": fields})
    count = build(wf.CountWorkflowExecutionsRequest, namespace=NAMESPACE)
    all_of_them = "(NamespaceDivision IS NULL OR NamespaceDivision IS NOT NULL)"

    async def three() -> bool:
        count.query = f"ConformanceKeyword = '{color}' AND {all_of_them}"
        return (await call(env, count, wf.CountWorkflowExecutionsResponse)).count == 3

    await until(three, what="all three workflows in visibility")
    for condition in (
        "RunId != 'x'",
        "TemporalNamespaceDivision = 'Mine'",
        "TemporalNamespaceDivision != 'Mine'",
        "NOT TemporalNamespaceDivision = 'Mine'",
        "TemporalNamespaceDivision IN ('Mine', 'Other')",
        "TemporalNamespaceDivision STARTS_WITH 'M'",
        "TemporalNamespaceDivision IS NOT NULL",
        "TemporalNamespaceDivision IS NULL",
        "NamespaceDivision = 'Mine'",
        all_of_them,
    ):
        query = f"ConformanceKeyword = '{color}' AND {condition}"
        listing = build(wf.ListWorkflowExecutionsRequest, namespace=NAMESPACE, query=query)
        listed = await call(env, listing, wf.ListWorkflowExecutionsResponse)
        record.note(condition, [item.execution.workflow_id for item in listed.executions])
        count.query = f"{query} GROUP BY ExecutionStatus"
        counted = await call(env, count, wf.CountWorkflowExecutionsResponse)
        record.note(f"count {condition}", counted)
    count.query = f"ConformanceKeyword = '{color}' GROUP BY TemporalNamespaceDivision"
    await record.call("by division", call(env, count, wf.CountWorkflowExecutionsResponse))
    mine = env.name("wf-Mine")
    by_id = build(
        wf.ListOpenWorkflowExecutionsRequest,
        namespace=NAMESPACE,
        start_time_filter={},
        execution_filter={"workflow_id": mine},
    )
    opened = await call(env, by_id, wf.ListOpenWorkflowExecutionsResponse)
    record.note("open by id", len(opened.executions))
    for division in ("plain", "Mine", "Other"):
        await Driver(env, workflow=f"wf-{division}").terminate()
    closed = build(
        wf.ListClosedWorkflowExecutionsRequest,
        namespace=NAMESPACE,
        start_time_filter={},
        execution_filter={"workflow_id": mine},
    )
    found = await call(env, closed, wf.ListClosedWorkflowExecutionsResponse)
    record.note("closed by id", len(found.executions))
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
            patiently(partial(call, env, listing, wf.ListWorkflowExecutionsResponse)),
            show=lambda _: "OK",
        )
        count = build(wf.CountWorkflowExecutionsRequest, namespace=NAMESPACE, query=query)
        await record.call(
            f"count: {name}",
            patiently(partial(call, env, count, wf.CountWorkflowExecutionsResponse)),
            show=lambda _: "OK",
        )
    for name, fields in {"no namespace": {}, "unknown": {"namespace": "no-such-namespace"}}.items():
        listing = build(wf.ListWorkflowExecutionsRequest, **fields)
        listed = patiently(partial(call, env, listing, wf.ListWorkflowExecutionsResponse))
        await record.call(name, listed)
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
