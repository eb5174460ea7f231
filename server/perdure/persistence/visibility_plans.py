"""What plans of listings and of counts have in common.

Rules that hold here: a plan is a generator that yields statements and is sent their rows; it knows
neither connections nor waiting. Every piece of text comes from the named statements, `Paths` and
`WhereClause`; what clients sent is a parameter.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from perdure.core.commit import SearchValue
from perdure.core.visibility.catalogue import NAMESPACE_DIVISION
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Everything,
    Operator,
    VisibilityFilter,
)
from perdure.persistence.visibility_narrowing import narrowed
from perdure.persistence.visibility_paths import Path, Paths
from perdure.persistence.visibility_ranges import TIMES, joined, outside, share
from perdure.persistence.visibility_sql import Sql, compose, is_counted

Rows = Sequence[tuple[Any, ...]]
T = TypeVar("T")
Steps = Generator[Sql, Rows, T]
Conditions = tuple[VisibilityFilter, ...]
"""What must all hold."""

Counts = dict[SearchValue | None, int]
"""Numbers of runs by an attribute's values; all are under None where there is no attribute."""

MOST_PATHS: Final = 8
"""Conditions of a query that are looked up: a query may have hundreds, and each takes time."""

_ORDINARY: Final = Comparison(NAMESPACE_DIVISION, Operator.IS_NULL)
_NOTHING: Final = Sql("")


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
        """Yields paths with what they can take up of the other conditions, and the rest."""
        for condition in self._of_indexes(conditions):
            path = self._paths.to(namespace_id, condition)
            if path is not None:
                yield narrowed(self._paths, namespace_id, path, conditions)

    def _of_indexes(self, conditions: Conditions) -> Sequence[Comparison]:
        """Returns the conditions that are looked up in their indexes, `MOST_PATHS` at most."""
        comparisons = (each for each in conditions if isinstance(each, Comparison))
        with_path = (each for each in comparisons if self._paths.to("", each) is not None)
        return list(islice(with_path, MOST_PATHS))

    def _found(self, namespace_id: str, path: Path, most: int) -> Steps[int]:
        """Returns how many a path finds, roughly from a bound on."""
        condition = path.given
        if is_counted(condition.attribute):
            counts = yield from self._from_counters(namespace_id, (condition,), None)
            return counts.get(None, 0)
        if condition.attribute.column in TIMES and outside(condition):
            # Counting so many that they are too many costs as much as what it is to save.
            whole = yield from self._whole(namespace_id)
            about = int(whole * (yield from self._share(namespace_id, condition)))
            if about > 2 * most:
                return about
        pieces = {"source": path.probed or path.source, "limit": self._bound(most)}
        ((found,),) = yield self._statement("probe", pieces)
        return int(found)

    def _share(self, namespace_id: str, condition: Comparison) -> Steps[float]:
        """Guesses which share of all runs a range of times holds."""
        column, having = TIMES[condition.attribute.column or ""]
        namespace = self._bound(namespace_id)
        pieces = {"namespace": namespace, "column": Sql(column), "having": having}
        ((first, last),) = yield self._statement("find_times", pieces)
        return 0.0 if first is None else max(0.0, min(share(condition, first, last), 1.0))

    def _whole(self, namespace_id: str) -> Steps[int]:
        """Returns how many runs a namespace has."""
        counts = yield from self._from_counters(namespace_id, (), None)
        return counts.get(None, 0)

    def _from_counters(
        self, namespace_id: str, conditions: Conditions, group_by: Attribute | None
    ) -> Steps[Counts]:
        pieces = {
            **self._group(group_by, of_counts=True),
            "namespace": self._bound(namespace_id),
            "filter": self._filter(conditions, of_counts=True),
        }
        rows = yield self._statement("count_counters", pieces)
        return {value: int(count) for value, count in rows if count}

    def _group(self, group_by: Attribute | None, *, of_counts: bool = False) -> dict[str, Sql]:
        clause = self._paths.clause(of_counts=of_counts)
        if group_by is None:
            return {"group": Sql("NULL"), "grouping": _NOTHING}
        text = clause.scalar(group_by)
        return {"group": Sql(text, tuple(clause.parameters)), "grouping": Sql("GROUP BY 1")}

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
            return joined(operands)
        case _:
            return (where,)
