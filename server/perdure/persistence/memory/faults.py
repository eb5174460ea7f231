"""How a simulation makes the memory store slow, absent or forgetful.

Rules that hold here: the store awaits the hooks while it holds its commit lock, so a delay is a
transaction in flight that `acquire_shard` waits behind.
"""

from collections.abc import Sequence
from typing import Protocol

from perdure.core.commit import Commit
from perdure.persistence.ports import Outcome


class CommitFaults(Protocol):
    """Decides what goes wrong around a commit."""

    async def before_commit(self, batch: Sequence[Commit]) -> None:
        """Runs before anything is applied; may delay.

        Raises StoreUnavailable or UnknownOutcome: then nothing of the batch is applied.
        """
        ...

    async def after_commit(self, batch: Sequence[Commit], outcomes: Sequence[Outcome]) -> None:
        """Runs when the batch is applied, before the caller hears of it; may delay.

        Raises UnknownOutcome: the batch stays applied, but the caller cannot know.
        """
        ...
