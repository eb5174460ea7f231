"""The directory of a cluster: who owns what, by this node's membership."""

import asyncio
from contextlib import suppress

from perdure.core.commit import TaskQueueKey
from perdure.membership.member import Member
from perdure.membership.view import ClusterView
from perdure.persistence.ports import NodeRow

_REFRESH_SECONDS = 0.25
"""Between two requests for a newer view: many callers may miss an owner at the same time."""


class MemberDirectory:
    """A `Directory` that follows a `Member`."""

    def __init__(self, member: Member) -> None:
        """Subscribes to the member's views."""
        self._member = member
        self._newer = asyncio.Event()
        self._refreshed_at = float("-inf")
        member.subscribe(self._on_view)

    @property
    def own_id(self) -> str:
        """This node's id; another one after it was removed by others."""
        return self._member.id

    def node(self, node_id: str) -> NodeRow | None:
        """Returns a node that is alive."""
        return self._member.view.node(node_id)

    def history_owner(self, slot: int) -> NodeRow | None:
        """Returns the node that owns a slot; None when nobody alive does."""
        return self._member.view.history_owner(slot)

    def matching_owner(self, queue: TaskQueueKey) -> NodeRow | None:
        """Returns the node that serves a queue; None when none takes polls."""
        return self._member.view.matching_owner(queue)

    async def changed(self, timeout: float) -> None:
        """Waits until there is a newer view, or for `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._newer.wait()

    def refresh(self) -> None:
        """Has a newer view read at once, unless that was asked for just now."""
        now = asyncio.get_running_loop().time()
        if now - self._refreshed_at >= _REFRESH_SECONDS:
            self._refreshed_at = now
            self._member.refresh()

    def _on_view(self, _view: ClusterView) -> None:
        newer, self._newer = self._newer, asyncio.Event()
        newer.set()
