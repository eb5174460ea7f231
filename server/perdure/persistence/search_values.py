"""Search attributes in the form that SQL stores keep and compare: one JSON object per run.

Rules that hold here: every member's name starts with its value's type (`s:` text, `i:` integer,
`f:` floating point, `b:` boolean, `t:` nanoseconds, `l:` list, `w:` words), so that a comparison
never meets a value of another type: a type that does not match the attribute's is a missing
attribute, on every store. Of a Text its words are kept, since nothing else of it is compared. Empty
lists are missing attributes, as on the real server.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from perdure.core.commit import SearchValue
from perdure.core.visibility.query import ValueType
from perdure.core.visibility.values import nanoseconds

TAGS = {
    ValueType.TEXT: "w",
    ValueType.KEYWORD: "s",
    ValueType.INT: "i",
    ValueType.DOUBLE: "f",
    ValueType.BOOL: "b",
    ValueType.DATETIME: "t",
    ValueType.KEYWORD_LIST: "l",
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNQUOTABLE = re.compile(r'[\x00-\x1f"\\%\x7f-\U0010ffff]')


def member_name(name: str, tag: str) -> str:
    """Returns the JSON member that holds an attribute; it needs no quoting in a JSON path."""
    escaped = _UNQUOTABLE.sub(lambda match: f"%{ord(match[0]):x}.", name)
    return f"{tag}:{escaped}"


def encode_values(values: Mapping[str, SearchValue]) -> str | None:
    """Returns the JSON object that holds the attributes; None when there are none."""
    if not values:
        return None
    members = dict(_member(name, value) for name, value in values.items() if value != [])
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False) if members else None


def decode_values(text: str | None) -> dict[str, SearchValue]:
    """Returns the attributes that `encode_values` wrote."""
    if not text:
        return {}
    return dict(_attribute(member, value) for member, value in json.loads(text).items())


def tag_of(value: SearchValue) -> str:
    """Returns the type tag of a decoded value."""
    match value:
        case datetime():
            return "t"
        case bool():
            return "b"
        case str():
            return "s"
        case int():
            return "i"
        case float():
            return "f"
        case frozenset():
            return "w"
        case _:
            return "l"


def _member(name: str, value: SearchValue) -> tuple[str, object]:
    stored: object = value
    if isinstance(value, datetime):
        stored = nanoseconds(value)
    elif isinstance(value, frozenset):
        stored = sorted(value)
    return member_name(name, tag_of(value)), stored


def _attribute(member: str, value: Any) -> tuple[str, SearchValue]:
    tag, _, escaped = member.partition(":")
    name = re.sub(r"%([0-9a-f]+)\.", lambda match: chr(int(match[1], 16)), escaped)
    match tag:
        case "t":
            return name, _EPOCH + timedelta(microseconds=value // 1000)
        case "f":
            return name, float(value)
        case "w":
            return name, frozenset(value)
        case _:
            return name, value
