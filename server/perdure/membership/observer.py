"""What membership tells metrics."""

from typing import Protocol

from perdure.membership.view import ClusterView


class MembershipObserver(Protocol):
    """Counts what happens to this node's lease and view. Cheap, and must not raise."""

    def membership_changed(self, view: ClusterView) -> None:
        """Nodes came, went or changed, or shards moved. Gauges of live nodes are taken from it."""
        ...

    def lease_renewed(self, seconds: float) -> None:
        """A renewal succeeded, that many seconds after it was sent."""
        ...

    def lease_failed(self, error: BaseException) -> None:
        """A renewal failed and is tried again."""
        ...

    def lease_lapsed(self, shards: int) -> None:
        """The lease had run out before it was renewed: so many shards were taken anew."""
        ...

    def node_lost(self) -> None:
        """Others removed this node: it begins anew under another id."""
        ...


class SilentObserver:
    """Observes nothing."""

    __slots__ = ()

    def membership_changed(self, view: ClusterView) -> None:
        """Does nothing."""

    def lease_renewed(self, seconds: float) -> None:
        """Does nothing."""

    def lease_failed(self, error: BaseException) -> None:
        """Does nothing."""

    def lease_lapsed(self, shards: int) -> None:
        """Does nothing."""

    def node_lost(self) -> None:
        """Does nothing."""
