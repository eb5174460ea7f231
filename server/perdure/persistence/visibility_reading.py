"""How listings and counts are read: the same plans on every SQL store.

Theory of operation: a store's statistics do not tell how rare a value is, and plans are made once,
so the shape of a statement decides what it costs, and this module decides the shape.

A listing walks the runs in the listing's order first, `WALKED` of them at most: a filter that one
run in a hundred matches fills a page from those. When the page is not filled, the filter is rare,
or its runs are old: then it goes by the path that finds the fewest runs (`Path`), unless that too
finds many; only then does the walk go on to the end. A condition on a run's or workflow's id goes
by its path at once.

A count reads counters where they have what the filter names, the index alone where one condition
has a path, the runs of the rarest path where there are several conditions, and all runs otherwise.

Rules that hold here: a plan is a generator that yields statements and is sent their rows; it knows
neither connections nor waiting. Every piece of text comes from the named statements, `Paths` and
`WhereClause`; what clients sent is a parameter.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from perdure.core.commit import SearchValue, VisibilityRow
from perdure.core.visibility.catalogue import NAMESPACE_DIVISION
from perdure.core.visibility.evaluation import MEMBERSHIP
from perdure.core.visibility.normal import contrary
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Everything,
    Not,
    Operator,
    Or,
    VisibilityFilter,
)
from perdure.persistence.ports import VisibilityCursor
from perdure.persistence.visibility_paths import INDEXES, LISTING, ORDERED, Path, Paths
from perdure.persistence.visibility_ranges import HALF, TIMES, outside, share
from perdure.persistence.visibility_rows import cursor_columns, from_columns
from perdure.persistence.visibility_sql import Sql, compose, is_counted

WALKED: Final = 10_000
"""Runs that a listing looks at before it takes a path."""

MOST_LISTED: Final = 250_000
"""Runs from which on a path is no better than walking on."""

MOST_COUNTED: Final = 200_000
"""The same for a count, which reads all runs otherwise."""

Rows = Sequence[tuple[Any, ...]]
T = TypeVar("T")
Steps = Generator[Sql, Rows, T]
Counts = dict[SearchValue | None, int]
"""Numbers of runs by an attribute's values; all are under None where there is no attribute."""

_IDS: Final = frozenset({"workflow_id", "run_id"})
_ORDINARY: Final = Comparison(NAMESPACE_DIVISION, Operator.IS_NULL)
_NEVER_MISSING: Final = frozenset({"workflow_id", "start_time", "status"})
_NEGATED: Final = frozenset(
    {
        *(Operator.NOT_EQUAL, Operator.NOT_IN, Operator.NOT_BETWEEN),
        *(Operator.NOT_STARTS_WITH, Operator.IS_NULL),
    }
)
_NOTHING: Final = Sql("")


@dataclass(slots=True, frozen=True)
class _Listing:
    """What a listing asks for."""

    namespace_id: str
    conditions: tuple[VisibilityFilter, ...]
    after: VisibilityCursor | None
    limit: int


class Reader:
    """Makes plans.

    Args:
        statements: The store's named statements.
        paths: The store's paths.
    """

    def __init__(self, statements: Mapping[str, str], paths: Paths) -> None:
        self._statements = statements
        self._paths = paths

    def list_runs(
        self, namespace_id: str, where: VisibilityFilter, after: VisibilityCursor | None, limit: int
    ) -> Steps[list[VisibilityRow]]:
        """Reads runs after a position, in the listing's order."""
        listing = _Listing(namespace_id, _conditions(where), after, limit)
        self._checked(listing.conditions)
        path = self._to_ids(listing)
        rows = yield from (self._walk(listing) if path is None else self._follow(listing, path))
        return [from_columns(row) for row in rows]

    def count_runs(self, namespace_id: str, where: VisibilityFilter) -> Steps[int]:
        """Counts runs."""
        counts = yield from self._count(namespace_id, where, None)
        return counts.get(None, 0)

    def count_groups(
        self, namespace_id: str, where: VisibilityFilter, group_by: Attribute
    ) -> Steps[Counts]:
        """Counts runs by an attribute's values."""
        return (yield from self._count(namespace_id, where, group_by))

    def _count(
        self, namespace_id: str, where: VisibilityFilter, group_by: Attribute | None
    ) -> Steps[Counts]:
        conditions = _conditions(where)
        self._checked(conditions)
        if all(map(is_counted, (*_attributes(where), *((group_by,) if group_by else ())))):
            return (yield from self._from_counters(namespace_id, conditions, group_by))
        conditions = yield from self._without_divisions(namespace_id, conditions)
        if group_by is None and len(conditions) == 1:
            count = yield from self._count_alone(namespace_id, conditions[0])
            if count is not None:
                return {None: count}
        return (yield from self._from_runs(namespace_id, conditions, group_by))

    # Listings

    def _walk(self, listing: _Listing) -> Steps[Rows]:
        index, first = self._ordered(listing)
        start = self._range(listing, first)
        offset = self._bound(WALKED)
        pieces = {"runs": Sql(self._paths.runs(index)), "range": start, "offset": offset}
        boundary = yield self._statement("walk_boundary", pieces)
        if boundary:
            rows = yield self._walking(listing, index, first, boundary[0])
            if len(rows) == listing.limit:
                return rows
            conditions = yield from self._without_divisions(
                listing.namespace_id, listing.conditions
            )
            listing = _Listing(listing.namespace_id, conditions, listing.after, listing.limit)
            path = yield from self._rarest(listing.namespace_id, conditions, MOST_LISTED)
            if path is not None:
                return (yield from self._follow(listing, path))
        return (yield self._walking(listing, index, first, None))

    def _walking(
        self, listing: _Listing, index: str, first: Comparison | None, last: tuple[Any, ...] | None
    ) -> Sql:
        pieces = {
            "runs": Sql(self._paths.runs(index)),
            "range": self._range(listing, first, last),
            "filter": self._filter(listing.conditions),
            "limit": self._bound(listing.limit),
        }
        return self._statement("walk", pieces)

    def _follow(self, listing: _Listing, path: Path) -> Steps[Rows]:
        rest = _rest(listing.conditions, path)
        name = "list_by_entries" if path.of_entries else "list_by_runs"
        if path.has_keys and not rest:
            name = "list_by_keys"
        pieces = {
            "source": path.source,
            "after": self._after(listing.after),
            "filter": self._filter(rest),
            "limit": self._bound(listing.limit),
        }
        return (yield self._statement(name, pieces))

    def _to_ids(self, listing: _Listing) -> Path | None:
        for condition in listing.conditions:
            if (
                isinstance(condition, Comparison)
                and condition.attribute.column in _IDS
                and condition.operator in {Operator.EQUAL, Operator.IN}
            ):
                return self._paths.to(listing.namespace_id, condition)
        return None

    def _ordered(self, listing: _Listing) -> tuple[str, Comparison | None]:
        """Returns the index to walk by, and the condition that it begins with."""
        for condition in listing.conditions:
            if (
                isinstance(condition, Comparison)
                and condition.operator is Operator.EQUAL
                and condition.attribute.column in ORDERED
            ):
                return INDEXES[condition.attribute.column], condition
        return LISTING, None

    def _range(
        self,
        listing: _Listing,
        first: Comparison | None,
        last: tuple[Any, ...] | None = None,
    ) -> Sql:
        clause = self._paths.clause()
        text = f"namespace_id = {clause.bind(listing.namespace_id)}"
        if first is not None:
            text += f" AND {first.attribute.column} = {clause.bind(first.operands[0])}"
        if listing.after is not None:
            keys = ", ".join(map(clause.bind, cursor_columns(listing.after)))
            text += f" AND (close_order, start_time, run_id) < ({keys})"
        if last is not None:
            keys = ", ".join(map(clause.bind, last))
            text += f" AND (close_order, start_time, run_id) >= ({keys})"
        return Sql(text, tuple(clause.parameters))

    def _after(self, after: VisibilityCursor | None) -> Sql:
        clause = self._paths.clause()
        if after is None:
            return Sql(clause.true)
        keys = ", ".join(map(clause.bind, cursor_columns(after)))
        text = f"(close_order, start_time, run_id) < ({keys})"
        return Sql(text, tuple(clause.parameters))

    # Counts

    def _from_counters(
        self,
        namespace_id: str,
        conditions: Sequence[VisibilityFilter],
        group_by: Attribute | None,
    ) -> Steps[Counts]:
        pieces = {
            **self._group(group_by, of_counts=True),
            "namespace": self._bound(namespace_id),
            "filter": self._filter(conditions, of_counts=True),
        }
        rows = yield self._statement("count_counters", pieces)
        return {value: int(count) for value, count in rows if count}

    def _count_alone(self, namespace_id: str, condition: VisibilityFilter) -> Steps[int | None]:
        """Counts the runs of one condition by indexes alone; None when that is not possible."""
        if not isinstance(condition, Comparison):
            return None
        if condition.operator in _NEGATED and _is_whole(condition.attribute):
            # Those that have the attribute, less those of which the contrary holds. All have it
            # where a comparison is never unknown.
            held = yield from self._count_alone(namespace_id, contrary(condition))
            if held is None:
                return None
            whole = yield from self._count_having(namespace_id, condition)
            return None if whole is None else whole - held
        if condition.operator is Operator.IS_NOT_NULL and condition.attribute.column is None:
            return (yield from self._count_set(namespace_id, condition.attribute))
        rest = outside(condition)
        if rest and (yield from self._holds_most(namespace_id, condition)):
            return (yield from self._count_outside(namespace_id, condition, rest))
        path = self._paths.to(namespace_id, condition)
        if path is None or not path.exact:
            return None
        name = "count_distinct_entries" if path.repeats else "count_source"
        rows = yield self._statement(name, {"source": path.source})
        return int(rows[0][0])

    def _holds_most(self, namespace_id: str, condition: Comparison) -> Steps[bool]:
        column, having = TIMES[condition.attribute.column or ""]
        namespace = self._bound(namespace_id)
        pieces = {"namespace": namespace, "column": Sql(column), "having": having}
        ((first, last),) = yield self._statement("find_times", pieces)
        return first is not None and share(condition, first, last) > HALF

    def _count_outside(
        self, namespace_id: str, condition: Comparison, rest: Sequence[Comparison]
    ) -> Steps[int]:
        counts = yield from self._from_counters(namespace_id, (), None)
        others = list(rest)
        if condition.attribute.column == "close_time":
            others.append(Comparison(condition.attribute, Operator.IS_NULL))
        left = counts.get(None, 0)
        for other in others:
            path = self._paths.to(namespace_id, other)
            assert path is not None, other
            rows = yield self._statement("count_source", {"source": path.source})
            left -= rows[0][0]
        return left

    def _count_having(self, namespace_id: str, condition: Comparison) -> Steps[int | None]:
        attribute = condition.attribute
        always = attribute.column is not None or attribute.value_type in MEMBERSHIP
        if always or condition.operator is Operator.IS_NULL:
            counts = yield from self._from_counters(namespace_id, (), None)
            return counts.get(None, 0)
        return (yield from self._count_set(namespace_id, attribute))

    def _count_set(self, namespace_id: str, attribute: Attribute) -> Steps[int | None]:
        if attribute.value_type in MEMBERSHIP:
            return None
        path = self._paths.to_all(namespace_id, attribute)
        rows = yield self._statement("count_source", {"source": path.source})
        return int(rows[0][0])

    def _from_runs(
        self,
        namespace_id: str,
        conditions: Sequence[VisibilityFilter],
        group_by: Attribute | None,
    ) -> Steps[Counts]:
        path = yield from self._rarest(namespace_id, conditions, MOST_COUNTED)
        pieces = self._group(group_by)
        if path is None:
            namespace = self._bound(namespace_id)
            text = f"{self._paths.runs('')} WHERE namespace_id = {namespace.text}"
            pieces["source"] = Sql(text, namespace.parameters)
            pieces["filter"] = self._filter(conditions)
            rows = yield self._statement("count_runs", pieces)
        else:
            pieces["source"] = path.source
            pieces["filter"] = self._filter(_rest(conditions, path))
            name = "count_by_entries" if path.of_entries else "count_runs"
            rows = yield self._statement(name, pieces)
        return {value: int(count) for value, count in rows if count}

    def _group(self, group_by: Attribute | None, *, of_counts: bool = False) -> dict[str, Sql]:
        clause = self._paths.clause(of_counts=of_counts)
        if group_by is None:
            return {"group": Sql("NULL"), "grouping": _NOTHING}
        text = clause.scalar(group_by)
        return {"group": Sql(text, tuple(clause.parameters)), "grouping": Sql("GROUP BY 1")}

    # Both

    def _without_divisions(
        self, namespace_id: str, conditions: tuple[VisibilityFilter, ...]
    ) -> Steps[tuple[VisibilityFilter, ...]]:
        """Leaves out that runs belong to no division, where none does."""
        if _ORDINARY not in conditions:
            return conditions
        found = yield self._statement("find_division", {"namespace": self._bound(namespace_id)})
        if found:
            return conditions
        return tuple(each for each in conditions if each != _ORDINARY)

    def _rarest(
        self, namespace_id: str, conditions: Iterable[VisibilityFilter], most: int
    ) -> Steps[Path | None]:
        """Returns the path that finds the fewest runs; None when every one finds too many."""
        best, fewest = None, most
        for condition in conditions:
            if not isinstance(condition, Comparison):
                continue
            path = self._paths.to(namespace_id, condition)
            if path is None:
                continue
            pieces = {"source": path.source, "limit": self._bound(fewest)}
            rows = yield self._statement("probe", pieces)
            if rows[0][0] < fewest:
                best, fewest = path, rows[0][0]
        return best

    def _filter(self, conditions: Sequence[VisibilityFilter], *, of_counts: bool = False) -> Sql:
        where = And(tuple(conditions)) if conditions else Everything()
        return self._paths.clause(of_counts=of_counts).sql(where)

    def _checked(self, conditions: Sequence[VisibilityFilter]) -> None:
        """Raises ValueError for a condition without meaning, before anything is read."""
        self._filter(conditions)

    def _bound(self, value: object) -> Sql:
        return Sql(self._paths.placeholder, (value,))

    def _statement(self, name: str, pieces: Mapping[str, Sql]) -> Sql:
        return compose(self._statements[name], pieces)


def _conditions(where: VisibilityFilter) -> tuple[VisibilityFilter, ...]:
    """Returns what must all hold."""
    match where:
        case Everything():
            return ()
        case And(operands):
            return operands
        case _:
            return (where,)


def _rest(conditions: Sequence[VisibilityFilter], path: Path) -> tuple[VisibilityFilter, ...]:
    return tuple(each for each in conditions if not (path.exact and each is path.given))


def _attributes(where: VisibilityFilter) -> Iterable[Attribute]:
    match where:
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _attributes(operand)
        case Not(operand):
            yield from _attributes(operand)
        case Comparison(attribute):
            yield attribute
        case Everything():
            pass


def _is_whole(attribute: Attribute) -> bool:
    """Tells whether it is known without the runs how many have an attribute."""
    return attribute.column is None or attribute.column in _NEVER_MISSING
