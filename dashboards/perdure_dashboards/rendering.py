"""The boards as the files that Grafana loads."""

from collections.abc import Callable

from perdure_dashboards.board import Board
from perdure_dashboards.boards import (
    capacity,
    frontend,
    history,
    matching,
    namespace,
    overview,
    store,
    visibility,
    worker,
)

BOARDS: tuple[Callable[[], Board], ...] = (
    overview.board,
    frontend.board,
    history.board,
    matching.board,
    store.board,
    visibility.board,
    worker.board,
    namespace.board,
    capacity.board,
)


def files() -> dict[str, str]:
    """Returns the generated files by name."""
    boards = [make() for make in BOARDS]
    return {f"{board.uid}.json": board.render() for board in boards}
