"""Calls from other nodes that name a namespace of which this node has not heard yet.

Nodes read which namespaces there are every few seconds. Whoever passes a request on has found its
namespace; so a node that is asked for one that it does not know reads before it refuses.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from perdure.core.errors import NamespaceNotFoundError
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.namespaces import NamespaceRegistry


def learning(
    handlers: Mapping[str, Handler], namespaces: NamespaceRegistry
) -> Mapping[str, Handler]:
    """Returns handlers that look a namespace up in the store before they refuse it."""
    return {path: _learning(handler, namespaces) for path, handler in handlers.items()}


def _learning(handler: Handler, namespaces: NamespaceRegistry) -> Handler:
    async def handle(request: Message, context: RequestContext) -> Any:
        try:
            return await handler(request, context)
        except NamespaceNotFoundError as error:
            # What is refused so has done nothing.
            await namespaces.learn(error.namespace)
            return await handler(request, context)

    return handle
