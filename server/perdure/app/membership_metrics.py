"""What membership tells metrics: this node's lease, and the cluster as this node sees it."""

from collections import Counter
from collections.abc import Callable, Sequence

from perdure.membership.view import ClusterView, Role
from perdure.persistence.ports import NodeRow, NodeState
from perdure.telemetry import catalogue, server_catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.process import process_name


class MembershipMetrics:
    """A `MembershipObserver`.

    Nodes are counted for every role and state from the start: a role that nobody serves is a zero,
    not a missing series.
    """

    def __init__(self, metrics: Metrics, *, roles: Sequence[str]) -> None:
        own = metrics.scoped(service_name=process_name(roles))
        self._nodes: Sequence[NodeRow] = ()
        self._changes = [
            metrics.counter(catalogue.MEMBERSHIP_CHANGED_COUNT).bind(
                operation=_WATCHERS.get(role, "ServiceResolver"), service_name=role
            )
            for role in roles
        ]
        self._live = {
            (role, state): own.gauge(catalogue.MEMBERSHIP_LIVE_NODES).bind(
                role=role.value, state=state.value
            )
            for role in Role
            for state in NodeState
        }
        self._shards = own.gauge(catalogue.MEMBERSHIP_SHARDS).bind()
        self._unowned = own.gauge(catalogue.MEMBERSHIP_UNOWNED_SHARDS).bind()
        self._renewals = own.histogram(catalogue.MEMBERSHIP_LEASE_RENEWAL_LATENCY).bind()
        self._failures = own.counter(catalogue.MEMBERSHIP_LEASE_FAILURES).bind()
        self._lapses = own.counter(catalogue.MEMBERSHIP_LEASE_LAPSES).bind()
        self._losses = own.counter(catalogue.MEMBERSHIP_NODE_LOST).bind()

    def membership_changed(self, view: ClusterView) -> None:
        """Counts the nodes and shards of a view."""
        if view.nodes != self._nodes:
            self._nodes = view.nodes
            for change in self._changes:
                change.inc()
        live = Counter((role, node.state) for role in Role for node in view.with_role(role))
        for key, series in self._live.items():
            series.set(live[key])
        self._shards.set(len(view.shards))
        self._unowned.set(sum(view.node(shard.owner) is None for shard in view.shards))

    def lease_renewed(self, seconds: float) -> None:
        """Times a renewal."""
        self._renewals.observe(seconds)

    def lease_failed(self, error: BaseException) -> None:
        """Counts a renewal that failed."""
        self._failures.inc()

    def lease_lapsed(self, shards: int) -> None:
        """Counts a lapse."""
        self._lapses.inc()

    def node_lost(self) -> None:
        """Counts a removal by others."""
        self._losses.inc()


class HealthMetrics:
    """Whether this node can serve, as Temporal's states of health."""

    def __init__(self, metrics: Metrics, *, missing: Callable[[], str]) -> None:
        """Binds the series.

        Args:
            metrics: Where to.
            missing: Returns what keeps this node from serving; empty when nothing does.
        """
        health = metrics.scoped(service_name="history").gauge(server_catalogue.HOST_HEALTH)
        self._health = health.bind()
        self._missing = missing

    def sample(self) -> None:
        """Notes how it is now."""
        self._health.set(_NOT_SERVING if self._missing() else _SERVING)


_SERVING, _NOT_SERVING = 1, 2
_WATCHERS = {"history": "ShardController"}
"""What the real server calls who hears of changes, by role."""
