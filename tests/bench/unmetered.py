"""`python -m bench.unmetered`: Perdure whose hot path counts and times nothing.

The observers of RPCs, workflows, task queues and the store are those that the roles have when
nobody observes them, so that all that metrics cost is gone: the calls, too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from perdure.app import node
from perdure.app.cli import main
from perdure.history import ports as history
from perdure.matching import observer as matching
from perdure.rpc import handler as rpc


class _Matching(matching.SilentObserver):
    def sample(self, _statistics: Iterable[matching.QueueStatistics]) -> None:
        """Samples nothing."""


class _Store:
    def commit_done(self, _size: int, _seconds: float) -> None:
        """Notes nothing."""

    def operation_done(self, _operation: str, _seconds: float, _error: object) -> None:
        """Notes nothing."""


def _uncounted(handlers: Mapping[str, rpc.Handler], _metrics: object) -> Mapping[str, rpc.Handler]:
    return handlers


_INSTEAD: Mapping[str, Any] = {
    "HistoryMetrics": lambda *_, **__: history.SilentObserver(),
    "MatchingMetrics": lambda *_, **__: _Matching(),
    "RpcMetrics": lambda *_: rpc.SilentObserver(),
    "StoreMetrics": lambda *_, **__: _Store(),
    "counted": _uncounted,
}
"""What the composition root finds instead of its own parts, by the names that it knows them by."""

if __name__ == "__main__":
    for name, instead in _INSTEAD.items():
        assert hasattr(node, name), f"the composition root has no {name} any more"
        setattr(node, name, instead)
    main()
