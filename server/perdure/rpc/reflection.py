"""Server reflection, v1alpha and v1: lets grpcurl and the like read the services' definitions.

Version 1 has the messages of v1alpha under another name, so one servicer answers both.
"""

from collections.abc import Iterable

import grpc
from grpc_reflection.v1alpha import reflection_pb2 as messages
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as V1ALPHA
from grpc_reflection.v1alpha.reflection import aio

V1 = "grpc.reflection.v1.ServerReflection"
SERVICE_NAMES = (V1ALPHA, V1)


def reflection_handlers(services: Iterable[str]) -> list[grpc.GenericRpcHandler]:
    """Returns handlers of both versions that list `services` and themselves."""
    servicer = aio.ReflectionServicer((*services, *SERVICE_NAMES))
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=messages.ServerReflectionRequest.FromString,
        response_serializer=messages.ServerReflectionResponse.SerializeToString,
    )
    return [
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})
        for name in SERVICE_NAMES
    ]
