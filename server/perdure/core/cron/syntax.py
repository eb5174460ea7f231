"""The texts of cron: descriptors, the time zone in front, and the parts of a field.

A part is a value, a range `low-high`, or a wildcard, and may end in `/step`: from the value to the
end, or through the range, in steps. Values are numbers or English names. What the dialects differ
in is in `Dialect`; what each says of a part that is none is theirs to say, by the `Fault`.
"""

import re
from enum import Enum, auto
from typing import Final, NamedTuple

DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)
WEEKDAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
SHORTEST_NAME: Final = 3
"""Letters of a name that tell it from the others."""
_ZONE_PREFIXES: Final = ("TZ=", "CRON_TZ=")


class Field(NamedTuple):
    """A field of a cron string or calendar.

    Attributes:
        name: Its name in messages.
        title: Its name in errors.
        default: What it says where it is left out.
        first: The least value.
        last: The greatest value.
        names: What values are called, from the first one on.
        end: Where an open range ends, if that is not the greatest value.
    """

    name: str
    title: str
    default: str
    first: int
    last: int
    names: tuple[str, ...] = ()
    end: int | None = None

    @property
    def bounds(self) -> str:
        """The values in words."""
        return f"in range [{self.first}-{self.last}]"


class Dialect(NamedTuple):
    """What differs between those who read fields.

    Attributes:
        wildcards: What stands for every value.
        number: Matches numbers, of so many digits that they are few.
        longest_name: Most letters of a name; None where all may be written out.
        wildcard_ranges: Whether a wildcard may be the low end of a range, which is then ignored.
    """

    wildcards: frozenset[str]
    number: re.Pattern[str]
    longest_name: int | None
    wildcard_ranges: bool


class Fault(Enum):
    """What is wrong with a part of a field."""

    SLASHES = auto()
    STEP = auto()
    DASHES = auto()
    VALUE = auto()
    START = auto()
    END = auto()


class FaultyPartError(ValueError):
    """A part of a field is none."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


class Part(NamedTuple):
    """The values from `first` to `last` in steps; `is_wild` where they are not named."""

    first: int
    last: int
    step: int
    is_wild: bool


def split_zone(text: str) -> tuple[str | None, str, str]:
    """Returns the time zone that stands in front, None for none; what separates it; and the rest.

    The separator is empty where nothing follows the time zone.
    """
    if not text.startswith(_ZONE_PREFIXES):
        return None, "", text
    named, space, rest = text.partition(" ")
    return named.partition("=")[2], space, rest


def parse_part(text: str, field: Field, dialect: Dialect) -> Part:
    """Parses a part of a field.

    Raises:
        FaultyPartError: It is none.
    """
    whole, *steps = text.split("/")
    if len(steps) > 1:
        raise FaultyPartError(Fault.SLASHES)
    step = _step(steps[0], dialect) if steps else 1
    low, *highs = whole.split("-")
    end = field.last if field.end is None else field.end
    if low in dialect.wildcards and (dialect.wildcard_ranges or not highs):
        return Part(field.first, end, step, is_wild=True)
    if len(highs) > 1:
        raise FaultyPartError(Fault.DASHES)
    first = _value(low, field, dialect)
    if first is None:
        raise FaultyPartError(Fault.START if highs else Fault.VALUE)
    if not highs:
        return Part(first, end if steps else first, step, is_wild=False)
    last = _value(highs[0], field, dialect)
    if last is None or last < first:
        raise FaultyPartError(Fault.END)
    return Part(first, last, step, is_wild=False)


def _step(text: str, dialect: Dialect) -> int:
    if not dialect.number.fullmatch(text) or int(text) < 1:
        raise FaultyPartError(Fault.STEP)
    return int(text)


def _value(text: str, field: Field, dialect: Dialect) -> int | None:
    value: int | None = None
    if dialect.number.fullmatch(text):
        value = int(text)
    elif len(text) >= SHORTEST_NAME:
        name = text.lower()
        for number, each in enumerate(field.names, field.first):
            if each[: dialect.longest_name].startswith(name):
                value = number
    return value if value is not None and field.first <= value <= field.last else None
