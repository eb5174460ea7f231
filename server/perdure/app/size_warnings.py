"""Says in the log which runs have grown so large that they may soon be ended for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from perdure.core.commit import Commit, RunWrite
from perdure.core.outcomes import RunSizes
from perdure.telemetry.logging import get_logger

_MEBIBYTE: Final = 1 << 20


@dataclass(slots=True, frozen=True)
class SizeWarningSettings:
    """From where on a history is large.

    Attributes:
        history_events: Its length.
        history_bytes: Its size.
    """

    history_events: int = 10_240
    history_bytes: int = 10 * _MEBIBYTE


class SizeWarnings:
    """Looks at durable commits. A run is named once for each limit: by the step that passes it."""

    def __init__(
        self, settings: SizeWarningSettings, *, namespace_name: Callable[[str], str]
    ) -> None:
        self._settings = settings
        self._namespace_name = namespace_name
        self._log = get_logger("history")

    def committed(self, commit: Commit) -> None:
        """Names the runs that a commit has made large."""
        settings = self._settings
        written = (write for write in commit.runs if not write.deleted)
        for write, sizes in zip(written, commit.sizes, strict=True):
            if sizes.history_events > settings.history_events:
                before = sizes.history_events - _events(write)
                if before <= settings.history_events:
                    self._warn("history count exceeds warn limit.", commit, write, sizes)
            if sizes.history_bytes > settings.history_bytes:
                before = sizes.history_bytes - sum(len(batch.blob) for batch in write.history)
                if before <= settings.history_bytes:
                    self._warn("history size exceeds warn limit.", commit, write, sizes)

    def _warn(self, sentence: str, commit: Commit, write: RunWrite, sizes: RunSizes) -> None:
        self._log.warning(
            sentence,
            namespace=self._namespace_name(commit.namespace_id),
            workflow_id=commit.workflow_id,
            run_id=write.run_id,
            history_events=sizes.history_events,
            history_bytes=sizes.history_bytes,
        )


def _events(write: RunWrite) -> int:
    return sum(batch.last_event_id - batch.first_event_id + 1 for batch in write.history)
