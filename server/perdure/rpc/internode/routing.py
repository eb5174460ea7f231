"""Who is asked: the owner of a workflow or a queue, wherever it is.

Theory of operation: a request goes to the node that owns what it is about by this node's view of
the cluster. While the owner is not known, cannot be reached, or says that it is not the owner, a
newer view is waited for, or a short pause, and the owner is looked up again; until the request's
own time or a bound is up. Then the client is told UNAVAILABLE, and its SDK tries again.

Rules that hold here: a request that a node may have carried out without answering is sent again
only where that is harmless: `REPEATABLE` says for each method when, and why.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar, cast

from google.protobuf.message import DecodeError
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskQueueKey
from perdure.core.errors import UnavailableError
from perdure.core.schedule.state import workflow_id as schedule_workflow_id
from perdure.core.slots import slot_of
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Namespace, NotOwnerError
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.internode.errors import PeerUnreachableError
from perdure.rpc.internode.link import RemoteCall
from perdure.rpc.internode.peers import Peers, implement
from perdure.rpc.internode.settings import InternodeSettings
from perdure.rpc.internode.wire import HISTORY_METHODS, WireMethod
from perdure.runtime.ports import Ids
from perdure.runtime.retry import Backoff

T = TypeVar("T")


class Node(Protocol):
    """A node of the cluster."""

    @property
    def id(self) -> str:
        """What names it: another one after every start."""
        ...

    @property
    def address(self) -> str:
        """Where other nodes reach it, `host:port`."""
        ...


class Directory(Protocol):
    """Who owns what, as this node sees it now. All but `changed` are cheap."""

    @property
    def own_id(self) -> str:
        """This node's id; it may change."""
        ...

    def node(self, node_id: str) -> Node | None:
        """Returns a node that is alive."""
        ...

    def history_owner(self, slot: int) -> Node | None:
        """Returns the node that owns a slot; None when none does."""
        ...

    def matching_owner(self, queue: TaskQueueKey) -> Node | None:
        """Returns the node that serves a queue; None when none does."""
        ...

    async def changed(self, timeout: float) -> None:
        """Waits until there is a newer view, or for `timeout` seconds."""
        ...

    def refresh(self) -> None:
        """Has a newer view read soon."""
        ...


class Router:
    """Looks for owners and asks them until one answers."""

    def __init__(
        self, *, directory: Directory, ids: Ids, settings: InternodeSettings | None = None
    ) -> None:
        """Makes a router.

        Args:
            directory: Who owns what.
            ids: Where jitter comes from.
            settings: Bounds.
        """
        self.directory = directory
        self._ids = ids
        self._seconds = (settings or InternodeSettings()).routing
        self._backoff = backoff_of(settings or InternodeSettings())

    async def ask(
        self,
        find: Callable[[], Node | None],
        ask: Callable[[Node, float], Awaitable[T]],
        *,
        seconds: float = 0.0,
        repeatable: bool,
    ) -> T:
        """Returns what the owner answers.

        Args:
            find: Looks the owner up.
            ask: Asks a node; it gets the seconds that have passed since the first look.
            seconds: How long the caller waits, where that is known: owners are looked for as long,
                or longer.
            repeatable: Whether a node may be asked again when one may have carried it out.

        Raises:
            UnavailableError: No owner was found in time, or one may have carried it out.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline = began + max(seconds, self._seconds)
        attempt = 0
        node = find()
        while True:
            hint: Node | None = None
            if node is not None:
                try:
                    return await ask(node, loop.time() - began)
                except NotOwnerError as error:
                    hint = self.directory.node(error.owner)
                except PeerUnreachableError as error:
                    if error.maybe_sent and not repeatable:
                        raise
            attempt += 1
            self.directory.refresh()
            # A hint is followed at once, but not in circles.
            if hint is None or attempt % 2 == 0 or (node is not None and hint.id == node.id):
                await self._wait(attempt, deadline - loop.time())
                hint = None
            node = hint or find()

    async def _wait(self, attempt: int, seconds_left: float) -> None:
        if seconds_left <= 0:
            raise UnavailableError("no node serves this right now, try again")
        pause = self._backoff.pause_seconds(attempt, self._ids)
        await self.directory.changed(min(pause, seconds_left))


def backoff_of(settings: InternodeSettings) -> Backoff:
    """Returns the pauses between looks for an owner; the caller bounds their number."""
    return Backoff(
        initial_seconds=settings.shortest_pause,
        maximum_seconds=settings.longest_pause,
        total_seconds=settings.routing,
    )


def routed_history(
    *, router: Router, peers: Peers, local: HistoryClient | None = None
) -> HistoryClient:
    """Returns the cluster's history: each request goes to the node that owns its workflow.

    Args:
        router: Finds it.
        peers: Reaches it where it is another node.
        local: This node's own history role, if it has one.
    """
    directory = router.directory

    def make(method: WireMethod) -> RemoteCall:
        slot_finder = _slot_finder(method)
        repeatable: Callable[..., bool] = REPEATABLE.get(method.name, _never)
        name, timed = method.name, method.form.timed

        async def call(*arguments: Any) -> Any:
            slot = slot_finder(*arguments)

            def ask(node: Node, elapsed: float) -> Awaitable[Any]:
                given = arguments
                if timed and elapsed:
                    given = (*arguments[:-1], max(0.0, arguments[-1] - elapsed))
                if node.id != directory.own_id:
                    return cast(Awaitable[Any], getattr(peers.history(node.address), name)(*given))
                if local is None:
                    raise NotOwnerError
                return cast(Awaitable[Any], getattr(local, name)(*given))

            return await router.ask(
                lambda: directory.history_owner(slot),
                ask,
                seconds=arguments[-1] if timed else 0.0,
                repeatable=repeatable(*arguments),
            )

        return call

    return cast(HistoryClient, implement(HISTORY_METHODS, make))


def _slot_finder(method: WireMethod) -> Callable[..., int]:
    """Returns what finds the slot of a call's workflow in its arguments."""
    if method.name == "deliver_message":
        return _slot_of_receiver
    if not method.form.namespaced:
        return _slot_of_task
    fields = _request_fields(method.rpc)
    if "task_token" in fields:
        return _slot_of_token
    workflow_id = _WORKFLOW_IDS.get(method.name) or next(
        (find for field, find in _WORKFLOW_ID_FIELDS if field in fields), None
    )
    assert workflow_id is not None, f"{method.name} does not say which workflow it is about"
    return lambda namespace, request, *_: slot_of(namespace.id, workflow_id(request))


_WORKFLOW_IDS: Final[dict[str, Callable[[Any], str]]] = {
    "poll_workflow_execution_update": lambda request: (
        request.update_ref.workflow_execution.workflow_id
    ),
    "execute_multi_operation": lambda request: request.operations[0].start_workflow.workflow_id,
}
"""Where a request that is unlike the others has its workflow id."""
_WORKFLOW_ID_FIELDS: Final[tuple[tuple[str, Callable[[Any], str]], ...]] = (
    ("schedule_id", lambda request: schedule_workflow_id(request.schedule_id)),
    ("workflow_id", lambda request: request.workflow_id),
    ("workflow_execution", lambda request: request.workflow_execution.workflow_id),
    ("execution", lambda request: request.execution.workflow_id),
)
"""Where it is by the fields of a request; the first field that there is counts."""


def _request_fields(rpc: str) -> frozenset[str]:
    message = wf.DESCRIPTOR.message_types_by_name[f"{rpc}Request"]
    return frozenset(message.fields_by_name)


def _slot_of_task(task: DispatchTask, *_: Any) -> int:
    return task.slot


def _slot_of_receiver(message: stored.Message) -> int:
    return slot_of(message.namespace_id, message.target.workflow_id)


def _slot_of_token(namespace: Namespace, request: Any, *_: Any) -> int:
    try:
        token = stored.TaskToken.FromString(request.task_token)
    except DecodeError:
        # Whoever is asked says what is wrong with it.
        return slot_of(namespace.id, "")
    return slot_of(namespace.id, token.workflow_id)


def _always(*_: Any) -> bool:
    return True


def _never(*_: Any) -> bool:
    return False


def _with_request_id(_namespace: Namespace, request: Any, *_: Any) -> bool:
    return bool(request.request_id)


REPEATABLE: Final[dict[str, Callable[..., bool]]] = {
    # They change nothing; a query is asked of a worker once more.
    "describe_workflow_execution": _always,
    "get_workflow_execution_history": _always,
    "get_workflow_execution_history_reverse": _always,
    "query_workflow": _always,
    "describe_schedule": _always,
    "list_schedule_matching_times": _always,
    # History tells repeated requests apart by their request id.
    "start_workflow_execution": _with_request_id,
    "signal_with_start_workflow_execution": _with_request_id,
    "signal_workflow_execution": _with_request_id,
    "request_cancel_workflow_execution": _with_request_id,
    # A run tells updates apart by their id, which the frontend sees to, as to a start's request id.
    "update_workflow_execution": _always,
    "poll_workflow_execution_update": _always,
    "execute_multi_operation": _always,
    "pause_activity": _with_request_id,
    "create_schedule": _with_request_id,
    "update_schedule": _with_request_id,
    "patch_schedule": _with_request_id,
    "reset_workflow_execution": _with_request_id,
    # The receiver tells messages apart by their id.
    "deliver_message": _always,
    # The poll's request id does the same for a start, and names the start that is undone.
    "record_workflow_task_started": _always,
    "record_activity_task_started": _always,
    "undo_task_started": _always,
    # The token's nonce names one start of one task, which ends once. When the first request got
    # through, the second is NOT_FOUND: just what the SDK's own next attempt would be told.
    "respond_workflow_task_completed": _always,
    "respond_workflow_task_failed": _always,
    "respond_activity_task_completed": _always,
    "respond_activity_task_failed": _always,
    "respond_activity_task_canceled": _always,
    "record_activity_task_heartbeat": _always,
    # Doing it twice is doing it once.
    "reset_sticky_task_queue": _always,
    "sticky_queue_unpolled": _always,
    "update_workflow_execution_options": _always,
    # Not here, because a second one might meet another thing of the same name:
    # terminate_workflow_execution and delete_workflow_execution (the id's next run), and what
    # names an activity by its id (the next activity of that id).
}
"""When a request that may have been carried out may be sent again."""
