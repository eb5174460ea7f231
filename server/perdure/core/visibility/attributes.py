"""Search attributes as clients send them: payloads of JSON, checked against their types.

Rules that hold here: a value that is null or an empty list means that the attribute is missing; a
list of one is as good as its element where the type is not a list; the `type` that a payload's
metadata names is informative only. Texts are the real server's.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from temporalio.api.common.v1.message_pb2 import Payload, SearchAttributes

from perdure.core.commit import SearchValue
from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility.catalogue import DERIVED, PREDEFINED, TYPE_NAMES, is_system
from perdure.core.visibility.query import ValueType
from perdure.core.visibility.values import (
    INT64_MAX,
    INT64_MIN,
    go_format,
    parse_datetime,
    storable,
    words,
)

_ENCODING: Final = "encoding"
_TYPE: Final = "type"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(slots=True, frozen=True)
class SearchAttributeLimits:
    """How much a workflow may set: keys, bytes of one value, bytes of all together."""

    max_keys: int = 100
    max_value_bytes: int = 2_048
    max_total_bytes: int = 40_960


class _Unreadable(Exception):
    """A payload is not JSON."""


class _WrongType(Exception):
    """A decoded value is not of its attribute's type; `value` is what it is."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


def decode(payload: Payload, value_type: ValueType) -> SearchValue | None:
    """Returns a payload's value; None when the payload says that there is none.

    Raises:
        ValueError: The value is not of the type; the text says what it is instead.
    """
    try:
        return _typed(_load(payload), value_type)
    except _Unreadable:
        raise ValueError(f"value from <{_payload_text(payload)}>") from None
    except _WrongType as wrong:
        raise ValueError(go_format(wrong.value)) from None


def searchable_values(
    attributes: SearchAttributes, types: Mapping[str, ValueType]
) -> dict[str, SearchValue]:
    """Returns the values that queries compare with, by name, of attributes set earlier.

    Of a Text these are its words.

    A namespace may have given a name to another type since: such a value is missing, and no error.
    """
    values: dict[str, SearchValue] = {}
    for name, payload in attributes.indexed_fields.items():
        value_type = PREDEFINED.get(name) or DERIVED.get(name) or types.get(name)
        if value_type is None:
            continue
        with suppress(ValueError):
            value = decode(payload, value_type)
            if value is not None:
                is_text = value_type is ValueType.TEXT
                values[name] = words(value) if is_text and isinstance(value, str) else value
    return values


def validate(
    attributes: SearchAttributes,
    types: Mapping[str, ValueType],
    *,
    namespace: str,
    limits: SearchAttributeLimits,
) -> None:
    """Checks what a client wants to set.

    Args:
        attributes: Names and values.
        types: The types of the namespace's own attributes.
        namespace: The namespace's name, for messages.
        limits: How much may be set.

    Raises:
        InvalidArgumentError: A name is unknown or the system's, a value is of another type or
            too large, or there are too many.
    """
    if not attributes.indexed_fields:
        return
    check_names(attributes, types, namespace=namespace)
    check_values(attributes, types, limits)
    check_sizes(attributes, limits)


def check_names(
    attributes: SearchAttributes, types: Mapping[str, ValueType], *, namespace: str
) -> None:
    """Raises InvalidArgumentError for a name that the namespace does not know."""
    for name in sorted(attributes.indexed_fields):
        if not (name in types or name in PREDEFINED or is_system(name)):
            raise InvalidArgumentError(
                f"Namespace {namespace} has no mapping defined for search attribute {name}"
            )


def check_values(
    attributes: SearchAttributes, types: Mapping[str, ValueType], limits: SearchAttributeLimits
) -> None:
    """Checks attributes whose names are known.

    Raises:
        InvalidArgumentError: There are too many, one is the system's, or a value is of another
            type.
    """
    fields = attributes.indexed_fields
    if len(fields) > limits.max_keys:
        raise InvalidArgumentError(
            f"number of search attributes {len(fields)} exceeds limit {limits.max_keys}"
        )
    for name in sorted(fields):
        if is_system(name):
            raise InvalidArgumentError(f"{name} attribute can't be set in SearchAttributes")
        _decode_named(name, fields[name], PREDEFINED.get(name) or types[name])


def check_sizes(attributes: SearchAttributes, limits: SearchAttributeLimits) -> None:
    """Raises InvalidArgumentError when a value, or all together, are too large."""
    fields = attributes.indexed_fields
    for name in sorted(fields):
        if (size := len(fields[name].data)) > limits.max_value_bytes:
            raise InvalidArgumentError(
                f"search attribute {name} value size {size} "
                f"exceeds size limit {limits.max_value_bytes}"
            )
    if fields and (size := attributes.ByteSize()) > limits.max_total_bytes:
        raise InvalidArgumentError(
            f"total size of search attributes {size} exceeds size limit {limits.max_total_bytes}"
        )


def add_types(attributes: SearchAttributes, types: Mapping[str, ValueType]) -> None:
    """Names each value's type in its payload's metadata, where the client has not done so."""
    for name, payload in attributes.indexed_fields.items():
        value_type = PREDEFINED.get(name) or types.get(name)
        if value_type is not None and _TYPE not in payload.metadata:
            payload.metadata[_TYPE] = TYPE_NAMES[value_type].encode()


def _decode_named(name: str, payload: Payload, value_type: ValueType) -> SearchValue | None:
    try:
        return decode(payload, value_type)
    except ValueError as error:
        raise InvalidArgumentError(
            f"invalid value for search attribute {name} of type {TYPE_NAMES[value_type]}: {error}"
        ) from None


def _load(payload: Payload) -> object:
    match payload.metadata.get(_ENCODING):
        case b"binary/null":
            return None
        case b"binary/plain":
            raise _WrongType(list(payload.data))
        case b"json/plain":
            pass
        case _:
            raise _Unreadable
    try:
        text = payload.data.decode(errors="replace")
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _Unreadable from None


def _refuse_constant(_name: str) -> NoReturn:
    raise _Unreadable  # NaN and Infinity are Python's idea of JSON


def _typed(value: object, value_type: ValueType) -> SearchValue | None:
    if value_type is ValueType.KEYWORD_LIST:
        return _keyword_list(value)
    scalar = value
    if isinstance(value, list):
        if not value:
            return None
        if len(value) > 1:
            raise _WrongType(_as_floats(value))
        scalar = value[0]
    if scalar is None:
        return None
    if (typed := _scalar(scalar, value_type)) is None:
        raise _WrongType(_as_floats(value))
    return typed


def _keyword_list(value: object) -> list[str] | None:
    if value is None or value == []:
        return None
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise _WrongType(_as_floats(value))
    return [storable(element) for element in value]


def _scalar(value: object, value_type: ValueType) -> SearchValue | None:
    match value_type, value:
        case (ValueType.BOOL, bool()):
            return value
        case (_, bool()):
            return None
        case (ValueType.TEXT | ValueType.KEYWORD, str()):
            return storable(value)
        case (ValueType.DATETIME, str()):
            return _datetime(value)
        case (ValueType.INT, int()) if INT64_MIN <= value <= INT64_MAX:
            return value
        case (ValueType.DOUBLE, int() | float()):
            return _finite(value)
        case _:
            return None


def _datetime(text: str) -> datetime | None:
    nanoseconds = parse_datetime(text)
    if nanoseconds is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1_000)
    except OverflowError:
        return None


def _finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) != float("inf") else None


def _as_floats(value: object) -> object:
    """Turns numbers into what Go has of them when it does not know their type."""
    if isinstance(value, bool) or not isinstance(value, int | list | dict):
        return value
    if isinstance(value, int):
        number = _finite(value)
        return value if number is None else number
    if isinstance(value, list):
        return [_as_floats(element) for element in value]
    return {key: _as_floats(element) for key, element in value.items()}


def _payload_text(payload: Payload) -> str:
    parts = [
        f"metadata:{{key:{_quoted(key.encode())}  value:{_quoted(payload.metadata[key])}}}"
        for key in sorted(payload.metadata)
    ]
    if payload.data:
        parts.append(f"data:{_quoted(payload.data)}")
    return "  ".join(parts)


def _quoted(data: bytes) -> str:
    """Quotes bytes as protobuf's text format does: valid UTF-8 stays, the rest is escaped."""
    text = data.decode(errors="surrogateescape")
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # noqa: PLR2004 - a byte that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x20 or number == 0x7F:  # noqa: PLR2004 - control characters
        return _ESCAPES.get(character, f"\\x{number:02x}")
    return _ESCAPES.get(character, character)
