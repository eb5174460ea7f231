"""Raw calls: a request message is sent to the RPC that it belongs to, without any retry.

`call(env, StartWorkflowExecutionRequest(...), StartWorkflowExecutionResponse)` finds the service
and method by the request's type. Errors are `grpc.aio.AioRpcError` as the server sent them.
"""

from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from temporalio.api.operatorservice.v1 import service_pb2 as operator_service
from temporalio.api.workflowservice.v1 import service_pb2 as workflow_service

from conformance.scenario import ScenarioEnv

Answer = TypeVar("Answer", bound=Message)

DEADLINE_SECONDS = 20.0
"""How long any call may take; nothing in a scenario is meant to wait that long."""

SERVICES = {
    "workflow": workflow_service.DESCRIPTOR.services_by_name["WorkflowService"],
    "operator": operator_service.DESCRIPTOR.services_by_name["OperatorService"],
}
_PATHS = {
    method.input_type.full_name: f"/{service.full_name}/{method.name}"
    for service in SERVICES.values()
    for method in service.methods
}


def build(kind: type[Answer], **fields: Any) -> Answer:
    """Returns a message; unlike its own constructor, this takes nested fields as plain dicts."""
    return kind(**fields)


async def call(
    env: ScenarioEnv, request: Message, answer: type[Answer], *, timeout: float = DEADLINE_SECONDS
) -> Answer:
    """Sends a request and returns the answer; `timeout` is the client's deadline in seconds."""
    path = _PATHS[request.DESCRIPTOR.full_name]
    return await call_path(env, path, request.SerializeToString(), answer, timeout=timeout)


async def call_path(
    env: ScenarioEnv, path: str, body: bytes, answer: type[Answer], *, timeout: float
) -> Answer:
    """Sends bytes, which need not be a valid request, to a method by its path."""
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, Answer] = env.channel.unary_unary(
        path, request_serializer=None, response_deserializer=answer.FromString
    )
    return await method(body, timeout=timeout)
