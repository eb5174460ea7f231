"""How listings and counts are read: the same plans on every SQL store.

Theory of operation: a store's statistics do not tell how rare a value is, and plans are made once,
so the shape of a statement decides what it costs, and `visibility_listing` and
`visibility_counting` decide the shape.
"""

from collections.abc import Mapping

from perdure.core.commit import VisibilityRow
from perdure.core.visibility.query import Attribute, VisibilityFilter
from perdure.persistence.ports import VisibilityCursor
from perdure.persistence.visibility_counting import Countings
from perdure.persistence.visibility_listing import Listings
from perdure.persistence.visibility_paths import Paths
from perdure.persistence.visibility_plans import Counts, Steps, conditions_of
from perdure.persistence.visibility_rows import from_columns


class Reader:
    """Makes plans.

    Args:
        statements: The store's named statements.
        paths: The store's paths.
    """

    def __init__(self, statements: Mapping[str, str], paths: Paths) -> None:
        self._listings = Listings(statements, paths)
        self._countings = Countings(statements, paths)

    def list_runs(
        self, namespace_id: str, where: VisibilityFilter, after: VisibilityCursor | None, limit: int
    ) -> Steps[list[VisibilityRow]]:
        """Reads runs after a position, in the listing's order."""
        conditions = conditions_of(where)
        self._listings.checked(conditions)
        rows = yield from self._listings.list_runs(namespace_id, conditions, after, limit)
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
        conditions = conditions_of(where)
        self._countings.checked(conditions)
        return (yield from self._countings.count(namespace_id, conditions, group_by))
