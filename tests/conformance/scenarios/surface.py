"""Every RPC of the two services, called once with next to nothing in the request.

The requests name the default namespace and nothing else, so that nothing is changed; those that
change namespaces name one that does not exist. What the scenario shows is which RPCs there are,
which are refused by name, and what each misses first.
"""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from conformance.recording import Recording
from conformance.rpc import SERVICES, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_NOWHERE = "no-such-namespace"
_CHANGE_NAMESPACES = frozenset(
    {"DeleteNamespace", "DeprecateNamespace", "RegisterNamespace", "UpdateNamespace"}
)


@scenario
async def rpc_surface(env: ScenarioEnv) -> Recording:
    """Every RPC is there, or refused by its name."""
    record = env.recording()
    for service in SERVICES.values():
        for method in sorted(service.methods, key=lambda method: method.name):
            answer = GetMessageClass(method.output_type)
            await record.call(
                rpc_name(method), call(env, _request(method), answer), show=lambda _: "OK"
            )
    return record


def rpc_name(method: MethodDescriptor) -> str:
    """Returns how recordings and documents call an RPC."""
    return f"{method.containing_service.name}.{method.name}"


def _request(method: MethodDescriptor) -> Any:
    request = GetMessageClass(method.input_type)()
    field = method.input_type.fields_by_name.get("namespace")
    if field is not None and field.type == FieldDescriptor.TYPE_STRING:
        harmful = method.name in _CHANGE_NAMESPACES
        setattr(request, field.name, _NOWHERE if harmful else NAMESPACE)
    return request
