"""By which index the runs of one condition are found.

Theory of operation: a condition that has an index of its own is a path: a source that a statement
reads FROM, with the condition in it. Conditions on columns are paths over the table of runs; those
on other search attributes go by their entries, which every run has for what it has set. What a
path leaves out is checked on the runs that it finds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from perdure.core.commit import SearchValue
from perdure.core.visibility.evaluation import MEMBERSHIP, elements, plain
from perdure.core.visibility.query import Attribute, Comparison, Operator
from perdure.persistence.search_values import TAGS, member_name
from perdure.persistence.visibility_costs import Costs
from perdure.persistence.visibility_rows import STILL_OPEN
from perdure.persistence.visibility_sql import Sql, WhereClause

WORD_CHARACTERS: Final = 300
"""What entries keep of a text; the schema says so too."""

LISTING: Final = "visibility_listing"

INDEXES: Final = {
    "workflow_id": "visibility_workflow",
    "workflow_type": "visibility_type",
    "status": "visibility_status",
    "start_time": "visibility_start",
    "close_time": LISTING,
    "parent_workflow_id": "visibility_parent",
}
"""The index of a column, together with the namespace; a run's id has one of its own."""

ORDERED: Final = frozenset({"workflow_type", "status"})
"""Columns whose index is in the listing's order for each of their values."""

_WITH_KEYS: Final = frozenset({*ORDERED, "start_time", "close_time"})
_CODE_POINT_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)
_LAST_CLOSED: Final = STILL_OPEN - 1
_INFIX: Final = {
    Operator.EQUAL: "=",
    Operator.LESS: "<",
    Operator.LESS_EQUAL: "<=",
    Operator.GREATER: ">",
    Operator.GREATER_EQUAL: ">=",
}
_WIDENED: Final = {
    Operator.LESS: Operator.LESS_EQUAL,
    Operator.GREATER: Operator.GREATER_EQUAL,
}


@dataclass(slots=True, frozen=True)
class Path:
    """A way to the runs of one condition.

    Attributes:
        given: The condition, as the filter has it.
        source: What stands after FROM: a table and a condition.
        of_entries: Whether the table is that of entries, not of runs.
        repeats: Whether a run may be found more than once.
        exact: Whether every run that is found matches the condition.
        has_keys: Whether the index holds the keys of the listing's order.
        probed: The source without what looks for entries of each run, where it does.
        asks_entries: Whether the source looks for entries of each run.
    """

    given: Comparison
    source: Sql
    of_entries: bool = False
    repeats: bool = False
    exact: bool = True
    has_keys: bool = False
    probed: Sql | None = None
    asks_entries: bool = False


class Paths(ABC):
    """Finds paths in one database's dialect."""

    placeholder: ClassVar[str]
    run_key: ClassVar[str]
    """The column that both the table of runs and that of entries know a run by."""
    beside: ClassVar[str]
    """How a column is written by which no index shall be chosen."""
    costs: ClassVar[Costs]

    @abstractmethod
    def clause(self, *, of_counts: bool = False) -> WhereClause:
        """Returns an empty clause, for the table of runs or for that of counters."""

    @abstractmethod
    def runs(self, index: str) -> str:
        """Returns the table of runs, read by an index, or by none."""

    @abstractmethod
    def value(self, clause: WhereClause, where: Comparison) -> str | None:
        """Returns a condition on the entries of an attribute; None when there is none."""

    @abstractmethod
    def is_set(self, attribute: Attribute) -> str:
        """Returns the condition that all entries of an attribute meet."""

    def to(self, namespace_id: str, where: Comparison) -> Path | None:
        """Returns the path to the runs of a condition; None when no index helps."""
        if where.attribute.column is None:
            return self._to_entries(namespace_id, where)
        return self._to_column(namespace_id, where)

    def to_all(self, namespace_id: str, attribute: Attribute) -> Path:
        """Returns the path to the runs that have set a scalar attribute."""
        clause = self.clause()
        source = f"{self._entries(clause, namespace_id, attribute)} AND {self.is_set(attribute)}"
        where = Comparison(attribute, Operator.IS_NOT_NULL)
        return Path(where, Sql(source, tuple(clause.parameters)), of_entries=True)

    def _to_column(self, namespace_id: str, where: Comparison) -> Path | None:
        column = where.attribute.column or ""
        clause = self.clause()
        if column == "run_id":
            if where.operator not in {Operator.EQUAL, Operator.IN}:
                return None
            text = condition(where, column, clause.bind)
            source = f"visibility WHERE {text} AND namespace_id = {clause.bind(namespace_id)}"
            return Path(where, Sql(source, tuple(clause.parameters)))
        if column not in INDEXES:
            return None
        table = self.runs(INDEXES[column])
        source = f"{table} WHERE namespace_id = {clause.bind(namespace_id)} AND "
        text = column_condition(where, clause.bind)
        if text is None:
            return None
        sql = Sql(source + text, tuple(clause.parameters))
        return Path(where, sql, has_keys=column in _WITH_KEYS)

    def _to_entries(self, namespace_id: str, where: Comparison) -> Path | None:
        sought = _sought(where)
        if sought is None:
            return None
        cut = shortened(sought)
        clause = self.clause()
        source = self._entries(clause, namespace_id, where.attribute)
        text = self.value(clause, cut)
        if text is None:
            return None
        return Path(
            where,
            Sql(f"{source} AND {text}", tuple(clause.parameters)),
            of_entries=True,
            repeats=sought is not where and len(sought.operands) > 1,
            exact=cut == sought,
        )

    def held(
        self, clause: WhereClause, namespace_id: str, where: Comparison, *, of_entries: bool
    ) -> str | None:
        """Returns a condition on a run that is found: it has an entry. None when entries are cut.

        Args:
            clause: Takes the parameters.
            namespace_id: Whose runs.
            where: What an entry must equal: an EQUAL or an IN.
            of_entries: Whether the run is found in the table of entries, not in that of runs.
        """
        sought = _sought(where)
        if sought is None or shortened(sought) != sought:
            return None
        entries = self._entries(clause, namespace_id, where.attribute, name="held")
        value = self.value(clause, sought)
        found = f"visibility{'_values' if of_entries else ''}.{self.run_key}"
        # OFFSET keeps planners from turning it round: it is asked of each run that is found.
        return (
            f"EXISTS (SELECT 1 FROM {entries} AND {value}"  # noqa: S608 - placeholders only
            f" AND held.{self.run_key} = {found} LIMIT 1 OFFSET 0)"
        )

    def _entries(
        self, clause: WhereClause, namespace_id: str, attribute: Attribute, name: str = ""
    ) -> str:
        table = f"visibility_values AS {name}" if name else "visibility_values"
        namespace = clause.bind(namespace_id)
        member = clause.bind(member_name(attribute.name, TAGS[attribute.value_type]))
        return f"{table} WHERE namespace_id = {namespace} AND member = {member}"


def condition(where: Comparison, column: str, bind: Callable[[Any], str]) -> str | None:
    """Returns a condition that an index on a column answers; None when it has no such form."""
    operands = tuple(map(plain, where.operands))
    match where.operator:
        case Operator.IN:
            return f"{column} IN ({', '.join(map(bind, operands))})"
        case Operator.BETWEEN:
            low, high = map(bind, operands)
            return f"{column} BETWEEN {low} AND {high}"
        case Operator.STARTS_WITH:
            prefix = str(operands[0])
            text = f"{column} >= {bind(prefix)}"
            after = successor(prefix)
            return text if after is None else f"{text} AND {column} < {bind(after)}"
        case operator if operator in _INFIX:
            return f"{column} {_INFIX[operator]} {bind(operands[0])}"
        case _:
            return None


def successor(prefix: str) -> str | None:
    """Returns the least text, by code points, above all that start with a prefix, if any."""
    for end in range(len(prefix), 0, -1):
        point = ord(prefix[end - 1]) + 1
        if point in _SURROGATES:
            point = _SURROGATES.stop
        if point <= _CODE_POINT_LAST:
            return prefix[: end - 1] + chr(point)
    return None


def column_condition(
    where: Comparison, bind: Callable[[Any], str], written: str = "{}"
) -> str | None:
    """Returns a condition that the index of a system attribute answers; None without such a form.

    The close time is asked for by the order that open runs have too, which indexes are in.

    Args:
        where: The condition.
        bind: Takes a parameter and returns its place.
        written: How a column is written.
    """
    column = where.attribute.column or ""
    match column, where.operator:
        case "close_time", _:
            return _closing(where, written.format("close_order"), bind)
        case "workflow_type", Operator.IS_NULL:
            return "workflow_type IS NULL"
        case _:
            return condition(where, written.format(column), bind)


def _closing(where: Comparison, column: str, bind: Callable[[Any], str]) -> str | None:
    """A condition on the close time, by the order that open runs come in too."""
    if where.operator is Operator.IS_NULL:
        return f"{column} = {bind(STILL_OPEN)}"
    if where.operator is Operator.IS_NOT_NULL:
        return f"{column} < {bind(STILL_OPEN)}"
    # One upper bound only: a database may look at the other one, and read on and on.
    match where.operator:
        case Operator.LESS:
            return condition(where, column, bind)
        case Operator.LESS_EQUAL | Operator.BETWEEN:
            *low, high = map(plain, where.operands)
            assert isinstance(high, int), where
            closed = (*low, min(high, _LAST_CLOSED))
            return condition(Comparison(where.attribute, where.operator, closed), column, bind)
        case _:
            text = condition(where, column, bind)
            return None if text is None else f"{text} AND {column} < {bind(STILL_OPEN)}"


def _sought(where: Comparison) -> Comparison | None:
    """Returns the condition on single entries; None when entries do not tell."""
    if where.attribute.value_type not in MEMBERSHIP:
        return where
    if where.operator not in {Operator.EQUAL, Operator.IN} or not elements(where):
        return None
    return Comparison(where.attribute, Operator.IN, tuple(elements(where)))


def shortened(where: Comparison) -> Comparison:
    """Returns a condition on what entries keep of texts: it holds wherever the given one does."""
    long = any(isinstance(each, str) and len(each) >= WORD_CHARACTERS for each in where.operands)
    if not long:
        return where
    operator = _WIDENED.get(where.operator, where.operator)
    return Comparison(where.attribute, operator, tuple(map(_kept, where.operands)))


def _kept(operand: SearchValue) -> SearchValue:
    return operand[:WORD_CHARACTERS] if isinstance(operand, str) else operand
