"""The guard in front of the handlers for other nodes: a client's certificate is none of a node.

Where clients and nodes have one authority, the transport lets both in; what a certificate says of
its holder keeps clients out here. Connections without a certificate are the transport's to refuse:
a cluster without TLS between its nodes has none.
"""

from collections.abc import Mapping

from google.protobuf.message import Message

from perdure.access.certificates import identity_of
from perdure.access.guard import REFUSAL
from perdure.core.errors import PermissionDeniedError
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext
from perdure.telemetry.logging import get_logger


def guarded(handlers: Mapping[str, Handler], *, trust_domain: str) -> Mapping[str, Handler]:
    """Returns handlers that refuse callers whose certificate is not that of a node.

    Args:
        handlers: By what a node calls.
        trust_domain: Whose SPIFFE ids nodes have. Without one nobody can be told apart, and the
            handlers are returned as they are.
    """
    if not trust_domain:
        return handlers
    return {path: _guarded(path, each, trust_domain) for path, each in handlers.items()}


def _guarded(path: str, handler: Handler, trust_domain: str) -> Handler:
    log, name = get_logger("authorization"), path.rpartition("/")[2]

    async def answer(request: Message, context: RequestContext) -> Message | Encoded:
        certificate = context.certificate
        if certificate is not None:
            identity = identity_of(certificate, trust_domain)
            if identity is None or not identity.is_node:
                log.error(
                    "a caller that is no node has reached the port for nodes, and was refused",
                    principal=identity.id if identity else certificate.subject,
                    method=name,
                    peer=context.peer,
                )
                raise PermissionDeniedError(REFUSAL)
        return await handler(request, context)

    return answer
