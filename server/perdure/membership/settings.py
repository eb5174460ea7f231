"""What an operator may set about membership."""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True, kw_only=True)
class MembershipSettings:
    """Durations are seconds.

    Attributes:
        period: Longest pause between two renewals of the lease.
        jitter: Which part of the period a pause may be shorter, so that nodes spread.
        lease: How long after a renewal others take a node for alive. A crashed node's shards stand
            still for that long.
        margin: How much earlier than the others the node itself gives its lease up, for clocks
            that run at slightly different rates. Also how long a start waits beyond the lease of
            an earlier node of its name.
        shortest_retry: First pause after a failed renewal; pauses grow up to the period.
        forget: How long after its lease ran out a node's row is removed.
        forget_probability: How often a renewal is followed by looking for such rows.
    """

    period: float = 1.0
    jitter: float = 0.2
    lease: float = 6.0
    margin: float = 0.5
    shortest_retry: float = 0.05
    forget: float = 600.0
    forget_probability: float = 0.02

    def __post_init__(self) -> None:
        """Checks that two failed renewals do not cost the lease."""
        assert 0.0 < self.shortest_retry <= self.period
        assert 0.0 <= self.jitter < 1.0
        assert self.margin >= 0.0
        assert self.period + 2 * self.call_timeout + self.margin < self.lease

    @property
    def call_timeout(self) -> float:
        """How long one call to the store may take: two can fail before the lease lapses."""
        return self.lease / 3

    @property
    def outage(self) -> float:
        """Time between two readings from which on the store counts as having been away."""
        return 2 * self.period

    @property
    def grace(self) -> float:
        """How long after an outage nobody is declared dead.

        By then a node whose last attempt still hung when the store came back has tried again.
        """
        return self.call_timeout + self.period
