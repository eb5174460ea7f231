"""What the command-line tool shows of workflows and search attributes."""

import grpc
from temporalio.api.operatorservice.v1 import request_response_pb2 as op

from conformance.driver import until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import ScenarioEnv, scenario
from conformance.scenarios.cli import temporal, temporal_text
from conformance.scenarios.visibility import FIRST, Listed


@scenario
async def cli_workflow_list(env: ScenarioEnv) -> Recording:
    """`temporal workflow list` and `count`, as JSON and as tables."""
    record = env.recording()
    listed = Listed(env, record)
    await listed.start("open", FIRST)
    await listed.seen(1)
    query = f"--query={listed.mine('')}"
    record.note("list", await temporal(env, "workflow", "list", query))
    record.note("list of one", await temporal(env, "workflow", "list", query, "--limit=1"))
    table = await temporal_text(env, "workflow", "list", query)
    record.note("table", [line.split()[:3] for line in table.splitlines()])
    record.note("count", await temporal(env, "workflow", "count", query))
    record.note("count as text", await temporal_text(env, "workflow", "count", query))
    grouped = f"{query} GROUP BY ExecutionStatus"
    record.note("groups", await temporal(env, "workflow", "count", grouped))
    record.note("groups as text", await temporal_text(env, "workflow", "count", grouped))
    record.note("refused", await temporal(env, "workflow", "list", "--query=Nope = 1"))
    await listed.end()
    return record


@scenario
async def cli_search_attributes(env: ScenarioEnv) -> Recording:
    """`temporal operator search-attribute`: create, list and remove, as JSON and as tables."""
    record, space = env.recording(), env.name("space")
    await temporal(env, "operator", "namespace", "create", f"--namespace={space}")
    attribute = ("operator", "search-attribute")
    where = f"--namespace={space}"
    create = (*attribute, "create", where)

    async def known() -> bool:
        request = build(op.ListSearchAttributesRequest, namespace=space)
        try:
            await call(env, request, op.ListSearchAttributesResponse)
        except grpc.aio.AioRpcError:  # it is not known everywhere yet
            return False
        return True

    await until(known, what="the namespace")
    record.note("create", await temporal(env, *create, "--name=Mine", "--type=Keyword"))
    record.note("again", await temporal(env, *create, "--name=Mine", "--type=Keyword"))
    record.note("other type", await temporal(env, *create, "--name=Mine", "--type=Int"))
    record.note("reserved", await temporal(env, *create, "--name=RunId", "--type=Keyword"))
    record.note("list", await temporal(env, *attribute, "list", where))
    table = await temporal_text(env, *attribute, "list", where)
    record.note("table", sorted(" ".join(line.split()) for line in table.splitlines()))
    remove = (*attribute, "remove", where, "--yes")
    record.note("remove", await temporal(env, *remove, "--name=Mine"))
    record.note("remove again", await temporal(env, *remove, "--name=Mine"))
    record.note("remove the system's", await temporal(env, *remove, "--name=RunId"))
    return record
