"""How large a query may be.

Rules that hold here: every bound is checked before the work that it bounds, so that the cost of
refusing is that of a query at the bounds; docs/decisions/0012-visibility.md has the measurement.
"""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class QueryLimits:
    """How large a query may be.

    Attributes:
        max_bytes: Of its text.
        max_tokens: Words, values, operators and punctuation.
        max_nesting: Parentheses and NOTs within each other; as many are too many.
        max_alternations: ANDs and ORs within each other. SQLite's parser has room for 100 symbols.
    """

    max_bytes: int = 64 * 1_024
    max_tokens: int = 2_048
    max_nesting: int = 200
    max_alternations: int = 16
