"""The far end: handlers that give what comes from other nodes to this one's roles."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from perdure.core.commit import DispatchTask
from perdure.rpc.clients import (
    Encoded,
    MatchingNode,
    NotOwnerError,
    StaleTask,
)
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.internode.errors import ForeignRequestError, StaleTaskError
from perdure.rpc.internode.wire import HISTORY_METHODS, MATCHING_METHODS, WireMethod


def internode_handlers(
    history: HistoryClient | None, matching: MatchingNode | None
) -> Mapping[str, Handler]:
    """Returns the handlers of the roles that this node has, by path."""
    handlers: dict[str, Handler] = {}
    for role, methods in ((history, HISTORY_METHODS), (matching, MATCHING_METHODS)):
        if role is not None:
            for method in methods:
                handlers[method.path] = _serve(method, getattr(role, method.name))
    if matching is not None:
        (adding,) = [method for method in MATCHING_METHODS if method.name == "add_tasks"]
        handlers[adding.path] = _serve(adding, _hints_taker(matching))
    return handlers


def _serve(method: WireMethod, serve: Callable[..., Any]) -> Handler:
    arguments, response = method.form.arguments, method.form.response

    async def handle(request: Message, _context: RequestContext) -> Message | Encoded:
        try:
            return response(await serve(*arguments(request)))
        except StaleTask:
            raise StaleTaskError from None
        except NotOwnerError as error:
            raise ForeignRequestError(error) from None

    return handle


def _hints_taker(matching: MatchingNode) -> Callable[[Sequence[DispatchTask]], Any]:
    async def take(tasks: Sequence[DispatchTask]) -> list[int]:
        """Takes hints; returns the places of sticky tasks that wait for nobody."""
        matching.add_tasks(tasks)
        return [
            place
            for place, task in enumerate(tasks)
            if task.sticky and not matching.has_recent_poller(task.key.queue)
        ]

    return take
