"""Deleting namespaces."""

import grpc
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest, DeleteNamespaceResponse
from temporalio.api.workflowservice import v1 as wf

from conformance.driver import Driver, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import ScenarioEnv, scenario


async def _register(env: ScenarioEnv, name: str) -> str:
    await call(
        env,
        build(
            wf.RegisterNamespaceRequest,
            namespace=name,
            workflow_execution_retention_period={"seconds": 86_400},
        ),
        wf.RegisterNamespaceResponse,
    )
    return (await _described(env, name)).namespace_info.id


async def _described(env: ScenarioEnv, name: str) -> wf.DescribeNamespaceResponse:
    async def described() -> wf.DescribeNamespaceResponse | None:
        request = wf.DescribeNamespaceRequest(namespace=name)
        try:
            return await call(env, request, wf.DescribeNamespaceResponse)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise

    return await until(described, what="the new namespace")


async def _describe_id(env: ScenarioEnv, namespace_id: str) -> wf.DescribeNamespaceResponse:
    request = wf.DescribeNamespaceRequest(id=namespace_id)
    return await call(env, request, wf.DescribeNamespaceResponse)


async def _delete(env: ScenarioEnv, **fields: object) -> DeleteNamespaceResponse:
    return await call(env, build(DeleteNamespaceRequest, **fields), DeleteNamespaceResponse)


@scenario
async def delete_namespace(env: ScenarioEnv) -> Recording:
    """A deleted namespace is renamed, its workflows go, then it goes."""
    record = env.recording()
    name = env.name("doomed")
    namespace_id = await _register(env, name)
    driver = Driver(env)

    async def started() -> bool:
        try:
            await driver.start(namespace=name)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True

    await until(started, what="a workflow in the new namespace")
    long_delay = {"seconds": 5}
    answer = await _delete(env, namespace=name, namespace_delete_delay=long_delay)
    suffix = answer.deleted_namespace.removeprefix(name)
    record.note("renamed to", suffix.removesuffix(namespace_id[:5]))

    async def forgotten() -> bool:
        try:
            await driver.start(namespace=name)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.NOT_FOUND
        return False

    await until(forgotten, what="the old name being forgotten")
    await record.call("start", driver.start(namespace=name))
    described = await _describe_id(env, namespace_id)
    record.note("state", described.namespace_info.state)
    record.note("name", described.namespace_info.name == answer.deleted_namespace)
    await record.call(
        "delete again by its new name",
        _delete(env, namespace=answer.deleted_namespace),
        show=lambda again: again.deleted_namespace == answer.deleted_namespace,
    )

    async def gone() -> bool:
        try:
            await _describe_id(env, namespace_id)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.NOT_FOUND
        return False

    await until(gone, what="the end of the namespace", deadline=60)
    await record.call("delete again", _delete(env, namespace=name))
    new_id = await _register(env, name)
    record.note("name is free again", new_id != namespace_id)
    await _delete(env, namespace_id=new_id)
    return record


@scenario
async def delete_namespace_refused(env: ScenarioEnv) -> Recording:
    """Namespaces that cannot be deleted."""
    record = env.recording()
    name = env.name("kept")
    namespace_id = await _register(env, name)
    await record.call("nothing named", _delete(env))
    await record.call("name and id", _delete(env, namespace=name, namespace_id=namespace_id))
    await record.call("unknown", _delete(env, namespace=env.name("unknown")))
    await record.call(
        "unknown id", _delete(env, namespace_id="0198c5cb-5c68-4a3c-b7d0-77c0dd0a0000")
    )
    await record.call("no id at all", _delete(env, namespace_id="x"))
    await record.call("system", _delete(env, namespace="temporal-system"))
    system = "32049b68-7872-4094-8e63-d0dd59896a83"
    await record.call("system by id", _delete(env, namespace_id=system))
    await record.call(
        "negative delay",
        _delete(env, namespace=name, namespace_delete_delay={"seconds": -1}),
        show=lambda _: "",
    )
    return record
