"""The RPCs of services, read from their descriptors."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from temporalio.api.operatorservice.v1 import service_pb2 as operator_service
from temporalio.api.workflowservice.v1 import service_pb2 as workflow_service

WORKFLOW_SERVICE: ServiceDescriptor = workflow_service.DESCRIPTOR.services_by_name[
    "WorkflowService"
]
OPERATOR_SERVICE: ServiceDescriptor = operator_service.DESCRIPTOR.services_by_name[
    "OperatorService"
]
PUBLIC_SERVICES = (WORKFLOW_SERVICE, OPERATOR_SERVICE)


@dataclass(slots=True, frozen=True)
class Method:
    """One RPC.

    Attributes:
        path: What a client calls: `/package.Service/Name`.
        parse: Makes the request of its bytes; raises DecodeError.
        names_namespace: Whether the request has a field `namespace`.
        may_wait: Whether the request has a field `wait_new_event`.
    """

    path: str
    service: str
    name: str
    parse: Callable[[bytes], Message]
    names_namespace: bool
    may_wait: bool


def path_of(service: ServiceDescriptor, name: str) -> str:
    """Returns what a client calls to reach an RPC."""
    return f"/{service.full_name}/{name}"


def public_methods() -> Iterator[Method]:
    """Yields every RPC of the public services, those without a handler too."""
    return methods_of(PUBLIC_SERVICES)


def methods_of(services: Iterable[ServiceDescriptor]) -> Iterator[Method]:
    """Yields every RPC of some services."""
    for service in services:
        for method in service.methods:
            yield _describe(service, method)


def _describe(service: ServiceDescriptor, method: MethodDescriptor) -> Method:
    request = method.input_type
    return Method(
        path=path_of(service, method.name),
        service=service.full_name,
        name=method.name,
        parse=GetMessageClass(request).FromString,
        names_namespace="namespace" in request.fields_by_name,
        may_wait="wait_new_event" in request.fields_by_name,
    )
