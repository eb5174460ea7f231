"""What plans of listings and of counts have in common.

Rules that hold here: a plan is a generator that yields statements and is sent their rows; it knows
neither connections nor waiting. Every piece of text comes from the named statements, `Paths` and
`WhereClause`; what clients sent is a parameter.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from perdure.core.visibility.catalogue import NAMESPACE_DIVISION
from perdure.core.visibility.query import (
    And,
    Comparison,
    Everything,
    Operator,
    VisibilityFilter,
)
from perdure.persistence.visibility_narrowing import narrowed
from perdure.persistence.visibility_paths import Path, Paths
from perdure.persistence.visibility_sql import Sql, compose

Rows = Sequence[tuple[Any, ...]]
T = TypeVar("T")
Steps = Generator[Sql, Rows, T]
Conditions = tuple[VisibilityFilter, ...]
"""What must all hold."""

_ORDINARY: Final = Comparison(NAMESPACE_DIVISION, Operator.IS_NULL)


@dataclass(slots=True, frozen=True)
class Way:
    """A path that has taken up what else its index and entries can answer.

    Attributes:
        path: The path, narrowed.
        rest: The conditions that only the runs themselves can answer.
        found: How many the path finds before it is narrowed.
    """

    path: Path
    rest: Conditions
    found: int

    @property
    def cost(self) -> float:
        """About what it costs, in microseconds: reading runs here and there is what takes long."""
        if self.rest:
            return self.found * RUN_MICROSECONDS
        return self.found * (HELD_MICROSECONDS if self.path.asks_entries else ENTRY_MICROSECONDS)


RUN_MICROSECONDS: Final = 4.0
HELD_MICROSECONDS: Final = 0.8
ENTRY_MICROSECONDS: Final = 0.2
"""About what it takes to read a run, to look for one entry of it, and to pass an index's entry."""


class Planner:
    """Makes statements.

    Args:
        statements: The store's named statements.
        paths: The store's paths.
    """

    def __init__(self, statements: Mapping[str, str], paths: Paths) -> None:
        self._statements = statements
        self._paths = paths

    def checked(self, conditions: Conditions) -> None:
        """Raises ValueError for a condition without meaning, before anything is read."""
        self._filter(conditions)

    def _without_divisions(self, namespace_id: str, conditions: Conditions) -> Steps[Conditions]:
        """Leaves out that runs belong to no division, where none does."""
        if _ORDINARY not in conditions:
            return conditions
        found = yield self._statement("find_division", {"namespace": self._bound(namespace_id)})
        if found:
            return conditions
        return tuple(each for each in conditions if each != _ORDINARY)

    def _ways(self, namespace_id: str, conditions: Conditions) -> Iterator[tuple[Path, Conditions]]:
        """Yields every path with what it can take up of the other conditions, and the rest."""
        for condition in conditions:
            if isinstance(condition, Comparison):
                path = self._paths.to(namespace_id, condition)
                if path is not None:
                    yield narrowed(self._paths, namespace_id, path, conditions)

    def _cheapest(self, namespace_id: str, conditions: Conditions, most: int) -> Steps[Way | None]:
        """Returns the cheapest way; None when every path finds too many runs."""
        best: Way | None = None
        for path, rest in self._ways(namespace_id, conditions):
            # Nothing is gained by counting further than where the way would be dearer.
            one = Way(path, rest, 1).cost
            bound = most if best is None else min(most, int(best.cost / one) + 1)
            found = yield from self._probe(path, bound)
            way = Way(path, rest, found)
            if found < most and (best is None or way.cost < best.cost):
                best = way
        return best

    def _probe(self, path: Path, most: int) -> Steps[int]:
        """Counts what a path finds, up to a bound."""
        pieces = {"source": path.probed or path.source, "limit": self._bound(most)}
        ((found,),) = yield self._statement("probe", pieces)
        return int(found)

    def _filter(self, conditions: Conditions, *, of_counts: bool = False) -> Sql:
        where = And(conditions) if conditions else Everything()
        return self._paths.clause(of_counts=of_counts).sql(where)

    def _bound(self, value: object) -> Sql:
        return Sql(self._paths.placeholder, (value,))

    def _statement(self, name: str, pieces: Mapping[str, Sql]) -> Sql:
        return compose(self._statements[name], pieces)


def conditions_of(where: VisibilityFilter) -> Conditions:
    """Returns what must all hold."""
    match where:
        case Everything():
            return ()
        case And(operands):
            return operands
        case _:
            return (where,)
