"""How counts are made.

Theory of operation: a count reads counters where they have what the filter names, and the index
alone where there is one condition. Several conditions can be counted in four ways: by a path that
takes up all others (`narrowed`), by one whose runs are read, as a difference, or by reading all
runs; what each would cost is guessed, and the cheapest taken. A difference is for what holds for
most runs: the runs that meet the other conditions, less those of them that do not meet this one.

Such differences come from more than one statement, between which runs may start and close; so a
count may be off by those, and is never below nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

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
from perdure.persistence.visibility_paths import Path
from perdure.persistence.visibility_plans import Conditions, Counts, Planner, Steps, Way
from perdure.persistence.visibility_ranges import HALF, TIMES, outside
from perdure.persistence.visibility_sql import Sql, is_counted

MOST_COUNTED: Final = 200_000
"""Runs of a path that are counted to guess what it costs; more are taken for very many."""

MOST_GROUPED: Final = 3
"""Conditions of a count in groups that are looked up for every group."""

_NEVER_MISSING: Final = frozenset({"workflow_id", "start_time", "status"})
_NEGATED: Final = frozenset(
    {
        *(Operator.NOT_EQUAL, Operator.NOT_IN, Operator.NOT_BETWEEN),
        *(Operator.NOT_STARTS_WITH, Operator.IS_NULL),
    }
)


@dataclass(slots=True, frozen=True)
class _Choice:
    """A way to count.

    Attributes:
        cost: About what it costs, in microseconds.
        count: Counts; None when it turns out not to be possible.
    """

    cost: float
    count: Callable[[], Steps[int | None]]


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
            choice = yield from self._choice(namespace_id, conditions)
            count = yield from choice.count()
            if count is not None:
                return {None: count}
        elif group_by == STATUS:
            groups = yield from self._by_status(namespace_id, conditions)
            if groups is not None:
                return groups
        return (yield from self._from_runs(namespace_id, conditions, group_by))

    def _choice(self, namespace_id: str, conditions: Conditions) -> Steps[_Choice]:
        """Returns the cheapest way to count what meets some conditions."""
        if all(map(is_counted, _attributes(conditions))):
            return _Choice(0.0, partial(self._by_counters, namespace_id, conditions))
        whole = yield from self._whole(namespace_id)
        if len(conditions) == 1:
            alone = partial(self._count_alone, namespace_id, conditions[0])
            return _Choice(whole * self._paths.costs.passed, alone)
        choices = yield from self._without_differences(namespace_id, conditions, whole)
        choices += yield from self._difference(namespace_id, conditions, whole)
        return min(choices, key=lambda choice: choice.cost)

    def _without_differences(
        self, namespace_id: str, conditions: Conditions, whole: int
    ) -> Steps[list[_Choice]]:
        ways = yield from self._found_ways(namespace_id, conditions, whole)
        choices = [self._of_way(way) for way in ways]
        everything = partial(self._of_all, namespace_id, conditions)
        choices.append(_Choice(whole * self._paths.costs.scanned, everything))
        return choices

    def _found_ways(
        self, namespace_id: str, conditions: Conditions, whole: int
    ) -> Steps[list[Way]]:
        ways: list[Way] = []
        for path, rest in self._ways(namespace_id, conditions):
            found = yield from self._found(namespace_id, path, MOST_COUNTED)
            ways.append(Way(path, rest, whole if found == MOST_COUNTED else found))
        return ways

    def _of_way(self, way: Way) -> _Choice:
        costs = self._paths.costs
        if way.rest:
            return _Choice(way.found * costs.run, partial(self._of_runs, way))
        one = costs.held if way.path.asks_entries else costs.passed
        return _Choice(way.found * one, partial(self._count_path, way.path))

    def _difference(
        self, namespace_id: str, conditions: Conditions, whole: int
    ) -> Steps[list[_Choice]]:
        """Returns how to count by what does not meet a condition, if there is one to leave out."""
        without: Comparison | None = None
        most = -1
        for condition in self._of_indexes(conditions):
            if outside(condition):
                found = yield from self._found_in(namespace_id, condition, whole)
                if found > most:
                    without, most = condition, found
        if without is None:
            return []
        others = tuple(each for each in conditions if each is not without)
        ways = self._outside(namespace_id, others, without)
        costs = self._paths.costs
        one = max(costs.run if way.rest else costs.held for way in ways)
        among = yield from self._among_others(namespace_id, others, whole)
        return [_Choice(among.cost + (whole - most) * one, partial(self._subtract, among, ways))]

    def _among_others(self, namespace_id: str, others: Conditions, whole: int) -> Steps[_Choice]:
        """Returns how to count what others meet; a difference of differences is not made."""
        if len(others) == 1 or all(map(is_counted, _attributes(others))):
            return (yield from self._choice(namespace_id, others))
        choices = yield from self._without_differences(namespace_id, others, whole)
        return min(choices, key=lambda choice: choice.cost)

    def _outside(self, namespace_id: str, others: Conditions, without: Comparison) -> Sequence[Way]:
        """Returns ways to what meets others and not a condition."""
        ways = []
        for each in outside(without):
            path = self._paths.to(namespace_id, each)
            assert path is not None, each
            ways.append(Way(*narrowed(self._paths, namespace_id, path, (each, *others)), found=0))
        return ways

    def _subtract(self, among: _Choice, ways: Sequence[Way]) -> Steps[int | None]:
        count = yield from among.count()
        if count is None:
            return None
        for way in ways:
            left = yield from self._of_way(way).count()
            assert left is not None, "a way counts what it leads to"
            count -= left
        return max(0, count)

    def _found_in(self, namespace_id: str, condition: Comparison, whole: int) -> Steps[int]:
        """Returns about how many runs meet a condition of which there is an outside."""
        if is_counted(condition.attribute):
            counts = yield from self._from_counters(namespace_id, (condition,), None)
            return counts.get(None, 0)
        return int(whole * (yield from self._share(namespace_id, condition)))

    def _count_path(self, path: Path) -> Steps[int]:
        name = "count_distinct_entries" if path.repeats else "count_source"
        ((count,),) = yield self._statement(name, {"source": path.source})
        return int(count)

    def _by_counters(self, namespace_id: str, conditions: Conditions) -> Steps[int | None]:
        counts = yield from self._from_counters(namespace_id, conditions, None)
        return counts.get(None, 0)

    def _by_status(self, namespace_id: str, conditions: Conditions) -> Steps[Counts | None]:
        """Counts by status: each but the most frequent, which has what is left of all.

        None when reading the runs costs less, or finding out would cost too much.
        """
        if len(conditions) > MOST_GROUPED:
            return None
        everywhere = yield from self._from_counters(namespace_id, (), STATUS)
        statuses = sorted(everywhere, key=everywhere.__getitem__)
        whole = yield from self._choice(namespace_id, conditions)
        choices = []
        for status in statuses[:-1]:
            assert status is not None, "every run has a status"
            of_status = Comparison(STATUS, Operator.EQUAL, (status,))
            choices.append((yield from self._choice(namespace_id, (*conditions, of_status))))
        by_runs = sum(everywhere.values()) * self._paths.costs.scanned
        if whole.cost + sum(choice.cost for choice in choices) > by_runs:
            return None
        left = yield from whole.count()
        if left is None:
            return None
        groups: Counts = {}
        for status, choice in zip(statuses, choices, strict=False):
            count = yield from choice.count()
            assert count is not None, "one condition of several is known"
            groups[status] = count
            left -= count
        groups |= dict.fromkeys(statuses[-1:], max(0, left))
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
                among = _Choice(0.0, partial(self._by_counters, namespace_id, ()))
                ways = self._outside(namespace_id, (), condition)
                return (yield from self._subtract(among, ways))
        path = self._paths.to(namespace_id, condition)
        if path is None or not path.exact:
            return None
        return (yield from self._count_path(path))

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
        return (yield from self._count_path(path))

    # By runs

    def _of_runs(self, way: Way) -> Steps[int | None]:
        counts = yield from self._among(way, None)
        return counts.get(None, 0)

    def _of_all(self, namespace_id: str, conditions: Conditions) -> Steps[int | None]:
        counts = yield from self._among_all(namespace_id, conditions, None)
        return counts.get(None, 0)

    def _from_runs(
        self, namespace_id: str, conditions: Conditions, group_by: Attribute | None
    ) -> Steps[Counts]:
        whole = yield from self._whole(namespace_id)
        ways = yield from self._found_ways(namespace_id, conditions, whole)
        way = min(ways, key=lambda way: way.found, default=None)
        costs = self._paths.costs
        if way is None or way.found * costs.run >= whole * costs.scanned:
            return (yield from self._among_all(namespace_id, conditions, group_by))
        return (yield from self._among(way, group_by))

    def _among(self, way: Way, group_by: Attribute | None) -> Steps[Counts]:
        pieces = {
            **self._group(group_by),
            "source": way.path.source,
            "filter": self._filter(way.rest),
        }
        name = "count_by_entries" if way.path.of_entries else "count_runs"
        rows = yield self._statement(name, pieces)
        return {value: int(count) for value, count in rows if count}

    def _among_all(
        self, namespace_id: str, conditions: Conditions, group_by: Attribute | None
    ) -> Steps[Counts]:
        namespace = self._bound(namespace_id)
        text = f"{self._paths.runs('')} WHERE namespace_id = {namespace.text}"
        pieces = {
            **self._group(group_by),
            "source": Sql(text, namespace.parameters),
            "filter": self._filter(conditions),
        }
        rows = yield self._statement("count_runs", pieces)
        return {value: int(count) for value, count in rows if count}


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
