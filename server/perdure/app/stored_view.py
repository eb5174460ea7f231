"""Stored messages as plain values for people and machines.

Rules that hold here: times are RFC 3339 in UTC and durations end in "s"; which of the whole numbers
are either is told by their names, as `stored.proto` gives them. What users put in payloads, and
other bytes, are shown as a number of bytes, unless they are asked for.
"""

import base64
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1.message_pb2 import Payload

STORED_PREFIX = "perdure.stored.v1."
_NANOSECONDS = 1_000_000_000


def plain(message: Message, *, payloads: bool) -> Any:
    """Returns a message as JSON has it: the fields that are set, under their own names."""
    if isinstance(message, Timestamp | Duration):
        return message.ToJsonString()
    if isinstance(message, Payload):
        return _payload(message) if payloads else _size(len(message.data))
    return {
        field.name: _field(message, field, value, payloads=payloads)
        for field, value in message.ListFields()
    }


def time_text(nanoseconds: int) -> str:
    """Returns a time since the Unix epoch; empty for 0, which means none."""
    if nanoseconds == 0:
        return ""
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{fraction:09d}Z"


def is_time(field: FieldDescriptor) -> bool:
    """Tells whether a whole number is nanoseconds since the Unix epoch."""
    return _is_stored(field) and (
        field.name.endswith("_time") or field.name.split("_")[-1] == "due"
    )


def is_duration(field: FieldDescriptor) -> bool:
    """Tells whether a whole number is nanoseconds."""
    return _is_stored(field) and field.name.endswith(("_timeout", "_backoff", "_interval"))


def _field(message: Message, field: FieldDescriptor, value: Any, *, payloads: bool) -> Any:
    if not field.is_repeated:
        return _value(field, value, payloads=payloads)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        kind = entry.fields_by_name["value"]
        return {str(key): _value(kind, value[key], payloads=payloads) for key in sorted(value)}
    return [_value(field, each, payloads=payloads) for each in value]


def _value(field: FieldDescriptor, value: Any, *, payloads: bool) -> Any:
    if field.message_type is not None:
        return plain(value, payloads=payloads)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    if isinstance(value, bytes):
        return base64.b64encode(value).decode() if payloads else _size(len(value))
    if is_time(field):
        return time_text(value)
    if is_duration(field):
        return f"{value / _NANOSECONDS:g}s"
    return value


def _is_stored(field: FieldDescriptor) -> bool:
    return field.full_name.startswith(STORED_PREFIX) and field.type == FieldDescriptor.TYPE_INT64


def _payload(payload: Payload) -> dict[str, str]:
    shown = {key: _text(value) for key, value in sorted(payload.metadata.items())}
    return {**shown, "data": _text(payload.data)}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(data).decode()}"


def _size(count: int) -> str:
    return f"{count} bytes"
