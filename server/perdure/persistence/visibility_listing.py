"""How listings are read.

Theory of operation: a listing walks the runs in its own order first, `WALKED` of them at most: a
filter that one run in a hundred matches fills a page from those. Conditions on the close time bound
the walk; those on the start time are answered by the index that it goes by. When the page is not
filled, the filter is rare, or its runs are old. Then there are two ways: to follow the cheapest
path and sort what it finds, or to walk on. A cheap path is followed at once. Otherwise the walk
goes on, in growing stretches, until it has cost what the path would; so that whichever would have
been right, the listing takes about twice as long at most. A condition on a run's or workflow's id
goes by its path at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from perdure.core.visibility.query import Comparison, Operator, VisibilityFilter
from perdure.persistence.ports import VisibilityCursor
from perdure.persistence.visibility_paths import (
    INDEXES,
    LISTING,
    ORDERED,
    Path,
    column_condition,
)
from perdure.persistence.visibility_plans import Conditions, Planner, Rows, Steps, Way
from perdure.persistence.visibility_rows import cursor_columns
from perdure.persistence.visibility_sql import Sql

WALKED: Final = 10_000
"""Runs that a listing looks at before it takes a path."""

MOST_LISTED: Final = 100_000
"""Runs from which on a path is no better than walking on."""

FEW: Final = 2_000
"""Runs that are quickly counted: where a path finds no more, others need not be looked at."""

AT_ONCE_MICROSECONDS: Final = 50_000.0
"""What a path may cost that is followed without walking on first."""

_BY_START: Final = Sql("ORDER BY start_time DESC")
"""What started last has mostly closed last: whoever looks for the first finds them at once."""

_IDS: Final = frozenset({"workflow_id", "run_id"})
_UPPER: Final = frozenset({Operator.LESS, Operator.LESS_EQUAL, Operator.BETWEEN})


@dataclass(slots=True, frozen=True)
class _Listing:
    """What a listing asks for."""

    namespace_id: str
    conditions: Conditions
    after: tuple[Any, ...] | None
    limit: int


@dataclass(slots=True, frozen=True)
class _Walk:
    """A walk in the listing's order.

    Attributes:
        index: What it goes by.
        first: The condition that the index begins with.
        closing: Conditions on the close time: where the walk begins and ends.
        starting: Conditions on the start time, which the index answers for each run.
        rest: Conditions that are asked of each run.
        after: The position that it goes on from.
        includes: Whether the run at that position belongs to the walk.
        limit: How many runs are asked for.
    """

    namespace_id: str
    index: str
    first: Comparison | None
    closing: tuple[Comparison, ...]
    starting: tuple[Comparison, ...]
    rest: Conditions
    after: tuple[Any, ...] | None
    includes: bool
    limit: int

    @property
    def newest(self) -> Comparison | None:
        """The condition that leaves out what started too late, if there is one."""
        return next((each for each in self.starting if each.operator in _UPPER), None)


class Listings(Planner):
    """Plans of listings."""

    def list_runs(
        self,
        namespace_id: str,
        conditions: Conditions,
        after: VisibilityCursor | None,
        limit: int,
    ) -> Steps[Rows]:
        """Reads runs after a position, in the listing's order."""
        position = None if after is None else cursor_columns(after)
        listing = _Listing(namespace_id, conditions, position, limit)
        path = self._to_ids(listing)
        if path is None:
            return (yield from self._read(listing))
        rest = tuple(each for each in conditions if not (path.exact and each is path.given))
        return (yield from self._follow(listing, path, rest))

    def _read(self, listing: _Listing) -> Steps[Rows]:
        walk = self._walk_of(listing)
        last = yield from self._boundary(walk, WALKED)
        rows = yield self._walking(walk, last)
        if last is None or len(rows) == listing.limit:
            return rows
        conditions = yield from self._without_divisions(listing.namespace_id, listing.conditions)
        listing = replace(listing, conditions=conditions)
        way = yield from self._cheapest(listing.namespace_id, conditions)
        if way is not None and self._cost(way) <= AT_ONCE_MICROSECONDS:
            return (yield from self._follow(listing, way.path, way.rest))
        walk = replace(self._walk_of(listing), after=last)
        return (yield from self._walk_on(listing, walk, rows, way))

    def _walk_on(self, listing: _Listing, walk: _Walk, rows: Rows, way: Way | None) -> Steps[Rows]:
        """Goes on with a walk, and follows a way in the end if that would have been better."""
        newest = walk.newest
        if newest is not None:
            first = yield from self._first(listing, walk, newest)
            if not first:
                return rows
            walk = replace(walk, after=first[0], includes=True)
        cost, stretch = 0.0, WALKED
        while way is None or cost < self._cost(way):
            last = None if way is None else (yield from self._boundary(walk, stretch))
            more = yield self._walking(walk, last)
            rows = _joined(rows, more)
            if last is None or len(rows) >= listing.limit:
                return rows[: listing.limit]
            walk = replace(walk, after=last, includes=False)
            cost += stretch * self._paths.costs.step
            stretch *= 2
        return (yield from self._follow(listing, way.path, way.rest))

    def _first(self, listing: _Listing, walk: _Walk, newest: Comparison) -> Steps[Rows]:
        """Returns the position of the first run that a walk comes to that started early enough."""
        path = self._paths.to(listing.namespace_id, newest)
        assert path is not None, newest
        whole = yield from self._whole(listing.namespace_id)
        found = whole * (yield from self._share(listing.namespace_id, newest))
        costs = self._paths.costs
        if found * costs.sorted > (whole - found) * costs.passed:
            return (yield self._statement("walk_boundary", self._pieces(walk, skips=True)))
        pieces = {"source": path.source, "after": self._after(walk.after), "newest": _BY_START}
        return (yield self._statement("first_by_keys", pieces))

    def _cheapest(self, namespace_id: str, conditions: Conditions) -> Steps[Way | None]:
        """Returns the cheapest way; None when every path finds too many runs."""
        paths = [
            (path, rest)
            for path, rest in self._ways(namespace_id, conditions)
            # The walk itself is in the order of close times, and keeps to their range.
            if not self._is_of_index(path.given, "close_time")
        ]
        best: Way | None = None
        for most in (min(FEW, MOST_LISTED), MOST_LISTED):
            for path, rest in paths:
                found = yield from self._found(namespace_id, path, most)
                way = Way(path, rest, found)
                if found < most and (best is None or self._cost(way) < self._cost(best)):
                    best = way
            if best is not None:
                break
        return best

    def _cost(self, way: Way) -> float:
        """Returns about what it costs to follow a way, in microseconds."""
        costs = self._paths.costs
        if way.rest:
            return way.found * costs.run
        return way.found * (costs.held if way.path.asks_entries else costs.sorted)

    def _boundary(self, walk: _Walk, offset: int) -> Steps[tuple[Any, ...] | None]:
        """Returns the position of the last run of a stretch; None when fewer are left."""
        found = yield self._statement("walk_boundary", self._pieces(walk, offset=offset))
        return found[0] if found else None

    def _walking(self, walk: _Walk, last: tuple[Any, ...] | None) -> Sql:
        pieces = {
            **self._pieces(walk, skips=True, last=last),
            "filter": self._filter(walk.rest),
            "limit": self._bound(walk.limit),
        }
        return self._statement("walk", pieces)

    def _follow(self, listing: _Listing, path: Path, rest: Conditions) -> Steps[Rows]:
        name = "list_by_entries" if path.of_entries else "list_by_runs"
        if path.has_keys and not rest:
            name = "list_by_keys"
        is_of_start = path.given.attribute.column == "start_time"
        pieces = {
            "source": path.source,
            "after": self._after(listing.after),
            "filter": self._filter(rest),
            "newest": _BY_START if is_of_start else Sql(""),
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

    def _walk_of(self, listing: _Listing) -> _Walk:
        index, first = _ordered(listing.conditions)
        closing, starting, rest = [], [], []
        for each in listing.conditions:
            if each is first:
                continue
            if self._is_of_index(each, "close_time"):
                closing.append(each)
            elif self._is_of_index(each, "start_time"):
                starting.append(each)
            else:
                rest.append(each)
        return _Walk(
            namespace_id=listing.namespace_id,
            index=index,
            first=first,
            closing=tuple(closing),  # type: ignore[arg-type]
            starting=tuple(starting),  # type: ignore[arg-type]
            rest=tuple(rest),
            after=listing.after,
            includes=False,
            limit=listing.limit,
        )

    def _is_of_index(self, condition: VisibilityFilter, column: str) -> bool:
        return (
            isinstance(condition, Comparison)
            and condition.attribute.column == column
            and condition.operator is not Operator.IN
            and column_condition(condition, self._paths.clause().bind) is not None
        )

    def _pieces(
        self,
        walk: _Walk,
        *,
        skips: bool = False,
        last: tuple[Any, ...] | None = None,
        offset: int = 0,
    ) -> dict[str, Sql]:
        """Returns what statements of a walk are filled with.

        Args:
            walk: The walk.
            skips: Whether runs are left out that the start time leaves out.
            last: The position that it ends with.
            offset: How many runs are passed over.
        """
        clause = self._paths.clause()
        texts = [f"namespace_id = {clause.bind(walk.namespace_id)}"]
        if walk.first is not None:
            column = walk.first.attribute.column
            texts.append(f"{column} = {clause.bind(walk.first.operands[0])}")
        texts += [column_condition(each, clause.bind) or "" for each in walk.closing]
        if skips:
            beside = self._paths.beside
            texts += [column_condition(each, clause.bind, beside) or "" for each in walk.starting]
        if walk.after is not None:
            keys = ", ".join(map(clause.bind, walk.after))
            sign = "<=" if walk.includes else "<"
            texts.append(f"(close_order, start_time, run_id) {sign} ({keys})")
        if last is not None:
            keys = ", ".join(map(clause.bind, last))
            texts.append(f"(close_order, start_time, run_id) >= ({keys})")
        return {
            "runs": Sql(self._paths.runs(walk.index)),
            "range": Sql(" AND ".join(texts), tuple(clause.parameters)),
            "offset": self._bound(offset),
        }

    def _after(self, after: tuple[Any, ...] | None) -> Sql:
        clause = self._paths.clause()
        if after is None:
            return Sql(clause.true)
        keys = ", ".join(map(clause.bind, after))
        text = f"(close_order, start_time, run_id) < ({keys})"
        return Sql(text, tuple(clause.parameters))


def _ordered(conditions: Conditions) -> tuple[str, Comparison | None]:
    """Returns the index to walk by, and the condition that it begins with."""
    for condition in conditions:
        if (
            isinstance(condition, Comparison)
            and condition.operator is Operator.EQUAL
            and condition.attribute.column in ORDERED
        ):
            return INDEXES[condition.attribute.column], condition
    return LISTING, None


def _joined(rows: Rows, more: Rows) -> Sequence[tuple[Any, ...]]:
    """Joins stretches. A run that closed between them is in both: it is kept where it was."""
    known = {row[0] for row in rows}
    return [*rows, *(row for row in more if row[0] not in known)]
