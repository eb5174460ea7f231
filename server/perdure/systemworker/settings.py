"""What an operator may set about the system worker."""

from dataclasses import dataclass
from typing import Final

NANOSECONDS: Final = 1_000_000_000


@dataclass(slots=True, frozen=True)
class SystemWorkerSettings:
    """Paces of deletion and of jobs. Times are seconds.

    Attributes:
        retention_period: How long a round of retention rests before the next one, give or take a
            tenth: a closed run goes about this much later than its namespace's retention says.
        batch: Runs that are deleted at a time; their transitions share transactions.
        retention_rate: Runs that retention deletes per second, at most, on one node.
        namespace_rate: Runs of a deleted namespace that are deleted per second, at most.
        namespace_period: How often deleted namespaces are looked for.
        namespace_settling: How long after its deletion a namespace is kept at least, so that no
            node that has not heard of it yet starts something in it.
        batch_period: How often jobs are looked for.
        batch_rate: Operations of a job per second, at most, where its client asks for no less.
        batch_concurrency: Operations of a job at a time.
    """

    retention_period: float = 300.0
    batch: int = 50
    retention_rate: int = 500
    namespace_rate: int = 400
    namespace_period: float = 2.0
    namespace_settling: float = 10.0
    batch_period: float = 1.0
    batch_rate: int = 50
    batch_concurrency: int = 5
