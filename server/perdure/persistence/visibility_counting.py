"""How counts are made.

Theory of operation: a count reads counters where they have what the filter names. One condition is
counted in its index alone, and so are several where a path can take up all others (`narrowed`).
What holds for most runs is counted by what it leaves out: the runs that meet the other conditions,
less those of them that do not meet this one. Only otherwise are runs read: those of the cheapest
path, or all.

Such differences come from more than one statement, between which runs may start and close; so a
count may be off by those, and is never below nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from perdure.core.commit import SearchValue
from perdure.core.visibility.catalogue import STATUS
from perdure.core.visibility.evaluation import MEMBERSHIP
from perdure.core.visibility.normal import contrary
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Not,
    Operator,
    Or,
    VisibilityFilter,
)
from perdure.persistence.visibility_narrowing import narrowed
from perdure.persistence.visibility_plans import (
    ENTRY_MICROSECONDS,
    HELD_MICROSECONDS,
    Conditions,
    Planner,
    Steps,
    Way,
)
from perdure.persistence.visibility_ranges import HALF, TIMES, outside, share
from perdure.persistence.visibility_sql import Sql, is_counted

MOST_COUNTED: Final = 200_000
"""Runs of a path from which on reading all runs is no dearer."""

Counts = dict[SearchValue | None, int]
"""Numbers of runs by an attribute's values; all are under None where there is no attribute."""

_NEVER_MISSING: Final = frozenset({"workflow_id", "start_time", "status"})
_NEGATED: Final = frozenset(
    {
        *(Operator.NOT_EQUAL, Operator.NOT_IN, Operator.NOT_BETWEEN),
        *(Operator.NOT_STARTS_WITH, Operator.IS_NULL),
    }
)
_NOTHING: Final = Sql("")


class Countings(Planner):
    """Plans of counts."""

    def count(
        self, namespace_id: str, conditions: Conditions, group_by: Attribute | None
    ) -> Steps[Counts]:
        """Counts runs, by an attribute's values if there is one."""
        named = (*_attributes(conditions), *((group_by,) if group_by else ()))
        if all(map(is_counted, named)):
            return (yield from self._from_counters(namespace_id, conditions, group_by))
        conditions = yield from self._without_divisions(namespace_id, conditions)
        if group_by is None:
            count = yield from self._by_indexes(namespace_id, conditions)
            if count is not None:
                return {None: count}
        elif group_by == STATUS:
            groups = yield from self._by_status(namespace_id, conditions)
            if groups is not None:
                return groups
        return (yield from self._from_runs(namespace_id, conditions, group_by))

    # By indexes alone

    def _by_indexes(self, namespace_id: str, conditions: Conditions) -> Steps[int | None]:
        """Counts by indexes alone; None when that is not possible."""
        if all(map(is_counted, _attributes(conditions))):
            counts = yield from self._from_counters(namespace_id, conditions, None)
            return counts.get(None, 0)
        if len(conditions) == 1:
            return (yield from self._count_alone(namespace_id, conditions[0]))
        way = yield from self._smallest(namespace_id, conditions)
        without = yield from self._best_without(namespace_id, conditions)
        if without is not None and (way is None or without[1] < way.cost):
            count = yield from self._by_difference(namespace_id, conditions, without[0])
            if count is not None:
                return count
        return None if way is None else (yield from self._count_path(way))

    def _smallest(self, namespace_id: str, conditions: Conditions) -> Steps[Way | None]:
        """Returns the way that finds the fewest, of those that need no runs."""
        best: Way | None = None
        whole = yield from self._whole(namespace_id)
        for path, rest in self._ways(namespace_id, conditions):
            if rest or not path.exact:
                continue
            most = whole if best is None else best.found
            found = yield from self._probe(path, min(most, MOST_COUNTED))
            if found >= MOST_COUNTED:
                found = yield from self._many(namespace_id, path.given, whole)
            if best is None or found < best.found:
                best = Way(path, (), found)
        return best

    def _many(self, namespace_id: str, condition: Comparison, whole: int) -> Steps[int]:
        """Returns how many runs meet a condition that many do, or all where that is not known."""
        if not is_counted(condition.attribute):
            return whole
        counts = yield from self._from_counters(namespace_id, (condition,), None)
        return counts.get(None, 0)

    def _best_without(
        self, namespace_id: str, conditions: Conditions
    ) -> Steps[tuple[Comparison, float] | None]:
        """Returns the condition that fewest runs do not meet, and what a difference costs."""
        best: tuple[Comparison, float] | None = None
        whole = yield from self._whole(namespace_id)
        for condition in conditions:
            if not isinstance(condition, Comparison) or not outside(condition):
                continue
            if not self._can_be_left_out(namespace_id, conditions, condition):
                continue
            if is_counted(condition.attribute):
                counts = yield from self._from_counters(namespace_id, (condition,), None)
                left = float(whole - counts.get(None, 0))
            else:
                held = yield from self._share(namespace_id, condition)
                left = whole * (1 - held)
            cost = left * HELD_MICROSECONDS + whole * ENTRY_MICROSECONDS
            if best is None or cost < best[1]:
                best = condition, cost
        return best

    def _can_be_left_out(
        self, namespace_id: str, conditions: Conditions, without: Comparison
    ) -> bool:
        others = tuple(each for each in conditions if each is not without)
        for each in outside(without):
            path = self._paths.to(namespace_id, each)
            if path is None or narrowed(self._paths, namespace_id, path, (each, *others))[1]:
                return False
        return True

    def _by_difference(
        self, namespace_id: str, conditions: Conditions, without: Comparison
    ) -> Steps[int | None]:
        others = tuple(each for each in conditions if each is not without)
        count = yield from self._by_indexes(namespace_id, others)
        if count is None:
            return None
        for each in outside(without):
            path = self._paths.to(namespace_id, each)
            assert path is not None, each
            path, rest = narrowed(self._paths, namespace_id, path, (each, *others))
            assert not rest, each
            count -= yield from self._count_path(Way(path, (), 0))
        return max(0, count)

    def _count_path(self, way: Way) -> Steps[int]:
        name = "count_distinct_entries" if way.path.repeats else "count_source"
        ((count,),) = yield self._statement(name, {"source": way.path.source})
        return int(count)

    def _by_status(self, namespace_id: str, conditions: Conditions) -> Steps[Counts | None]:
        """Counts by status: each but the most frequent, which has what is left of all."""
        whole = yield from self._by_indexes(namespace_id, conditions)
        if whole is None:
            return None
        all_runs = yield from self._from_counters(namespace_id, (), STATUS)
        statuses = sorted(all_runs, key=all_runs.__getitem__)
        groups: Counts = {}
        for status in statuses[:-1]:
            assert status is not None, "every run has a status"
            of_status = Comparison(STATUS, Operator.EQUAL, (status,))
            count = yield from self._by_indexes(namespace_id, (*conditions, of_status))
            if count is None:
                return None
            groups[status] = count
        for status in statuses[-1:]:
            groups[status] = max(0, whole - sum(groups.values()))
        return {status: count for status, count in groups.items() if count}

    # One condition

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
        if condition.attribute.column in TIMES and outside(condition):
            held_share = yield from self._share(namespace_id, condition)
            if held_share > HALF:
                return (yield from self._by_difference(namespace_id, (condition,), condition))
        path = self._paths.to(namespace_id, condition)
        if path is None or not path.exact:
            return None
        return (yield from self._count_path(Way(path, (), 0)))

    def _share(self, namespace_id: str, condition: Comparison) -> Steps[float]:
        """Guesses which share of all runs a range of times holds."""
        column, having = TIMES[condition.attribute.column or ""]
        namespace = self._bound(namespace_id)
        pieces = {"namespace": namespace, "column": Sql(column), "having": having}
        ((first, last),) = yield self._statement("find_times", pieces)
        return 0.0 if first is None else share(condition, first, last)

    def _count_having(self, namespace_id: str, condition: Comparison) -> Steps[int | None]:
        attribute = condition.attribute
        always = attribute.column is not None or attribute.value_type in MEMBERSHIP
        if always or condition.operator is Operator.IS_NULL:
            return (yield from self._whole(namespace_id))
        return (yield from self._count_set(namespace_id, attribute))

    def _count_set(self, namespace_id: str, attribute: Attribute) -> Steps[int | None]:
        if attribute.value_type in MEMBERSHIP:
            return None
        path = self._paths.to_all(namespace_id, attribute)
        return (yield from self._count_path(Way(path, (), 0)))

    # By counters and by runs

    def _whole(self, namespace_id: str) -> Steps[int]:
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

    def _from_runs(
        self, namespace_id: str, conditions: Conditions, group_by: Attribute | None
    ) -> Steps[Counts]:
        way = yield from self._cheapest(namespace_id, conditions, MOST_COUNTED)
        pieces = self._group(group_by)
        if way is None:
            namespace = self._bound(namespace_id)
            text = f"{self._paths.runs('')} WHERE namespace_id = {namespace.text}"
            pieces["source"] = Sql(text, namespace.parameters)
            pieces["filter"] = self._filter(conditions)
            rows = yield self._statement("count_runs", pieces)
        else:
            pieces["source"] = way.path.source
            pieces["filter"] = self._filter(way.rest)
            name = "count_by_entries" if way.path.of_entries else "count_runs"
            rows = yield self._statement(name, pieces)
        return {value: int(count) for value, count in rows if count}

    def _group(self, group_by: Attribute | None, *, of_counts: bool = False) -> dict[str, Sql]:
        clause = self._paths.clause(of_counts=of_counts)
        if group_by is None:
            return {"group": Sql("NULL"), "grouping": _NOTHING}
        text = clause.scalar(group_by)
        return {"group": Sql(text, tuple(clause.parameters)), "grouping": Sql("GROUP BY 1")}


def _attributes(conditions: Sequence[VisibilityFilter]) -> Iterable[Attribute]:
    for condition in conditions:
        match condition:
            case And(operands) | Or(operands):
                yield from _attributes(operands)
            case Not(operand):
                yield from _attributes((operand,))
            case Comparison(attribute):
                yield attribute


def _is_whole(attribute: Attribute) -> bool:
    """Tells whether it is known without the runs how many have an attribute."""
    return attribute.column is None or attribute.column in _NEVER_MISSING
