"""What an operator may limit."""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True, kw_only=True)
class QuotaSettings:
    """Limits of one frontend process, for all namespaces together or for one.

    Attributes:
        rps: Requests per second of all namespaces; 0 for no limit.
        namespace_rps: Requests per second of one namespace; 0 for no limit.
        visibility_rps: Of these, listings and counts per second; 0 for no limit.
        burst_ratio: How many seconds' worth of requests may come at once.
        polls: Requests of one namespace that may wait at a time; 0 for no limit.
    """

    rps: float = 0.0
    namespace_rps: float = 0.0
    visibility_rps: float = 0.0
    burst_ratio: float = 2.0
    polls: int = 10_000
