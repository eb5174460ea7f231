"""Which nodes are taken for alive.

A lease that ran out on the store's clock means dead, unless the store itself was away: then
everybody's renewals failed, and everybody gets time to renew before anybody is declared dead.
"""

from math import inf

from perdure.persistence.ports import ClusterRows


class Liveness:
    """Judges one reading of the cluster after the other.

    Args:
        outage_seconds: Time between two readings, on either clock, from which on the store counts
            as having been away (or this process as suspended, or the store's clock as set).
        grace_seconds: How long after that earlier judgements stand.
    """

    __slots__ = ("_alive", "_grace", "_grace_until", "_outage", "_read_at", "_store_now")

    def __init__(self, *, outage_seconds: float, grace_seconds: float) -> None:
        self._outage = outage_seconds
        self._grace = grace_seconds
        self._grace_until = -inf
        self._alive: frozenset[str] = frozenset()
        self._read_at: float | None = None
        self._store_now = 0

    def judge(self, rows: ClusterRows, read_at: float) -> frozenset[str]:
        """Returns the ids of the nodes alive.

        Args:
            rows: What was read.
            read_at: When the answer came, on this machine's monotonic clock.
        """
        if self._read_at is not None:
            gap = max(read_at - self._read_at, (rows.now - self._store_now) / 1e9)
            if gap > self._outage:
                self._grace_until = read_at + self._grace
        alive = frozenset(node.id for node in rows.nodes if not node.expired(rows.now))
        if read_at < self._grace_until:
            registered = {node.id for node in rows.nodes}
            alive |= self._alive & registered
        self._alive = alive
        self._read_at = read_at
        self._store_now = rows.now
        return alive
