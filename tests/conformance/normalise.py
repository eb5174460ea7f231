"""Turns what a server answered into JSON values that two runs can be compared by.

What differs from run to run (run ids, request ids, tokens, times, sizes) becomes a placeholder;
what a server decides (event ids, attributes, durations, states, texts) stays. Rules that hold
here: one value gets one numbered placeholder through a whole recording, so that a wrong run id is
seen as a wrong number; nothing is dropped but advice to pollers, and a history event's time and
task id, which every event has (their absence is shown); absent and default values look the same,
as on the wire.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any as Json

import temporalio.api.errordetails.v1
import temporalio.api.failure.v1
from google.protobuf import symbol_database
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.history.v1 import History, HistoryEvent

from conformance.failures import RpcFailure

DETAIL_MODULES = (temporalio.api.errordetails.v1, temporalio.api.failure.v1)
"""Imported so that the detail types are known to the symbol database."""

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_CLOCK = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_CLOCK_FIELDS = re.compile(r'\{"seconds":\d{9,},"nanos":\d+\}')
"""A time inside the JSON that SDKs write into markers."""

_RUN = re.compile(r"(.)\1{99,}")
_OPAQUE = {
    "task_token": "<token>",
    "next_page_token": "<page token>",
    "history_size_bytes": "<size>",
    "execution_duration": "<duration>",
    "stack_trace": "<stack trace>",
    "sdk_version": "<sdk version>",
    "build_id": "<build id>",
}
"""Fields whose value says nothing that a client may rely on; only its presence is kept."""

_SETS = frozenset({"core_used_flags", "lang_used_flags"})
"""Lists that SDKs send in any order."""

_ADVICE = frozenset({"poller_scaling_decision", "backlog_count_hint"})
"""Hints to pollers that depend on how long a task waited."""

_ONCE_PER_EVENT = ("event_time", "task_id")
_BASE_TIMES = {"HistoryEvent": "event_time", "PendingActivityInfo": "scheduled_time"}
"""Where later times of a message are measured from."""

_OFFSET_FIELDS = frozenset(
    {
        "workflow_execution_expiration_time",
        "execution_expiration_time",
        "run_expiration_time",
        "expiration_time",
    }
)
_UUID_KINDS = {"run_id": "run", "request_id": "request"}


class Normaliser:
    """Normalises the observations of one recording; remembers every placeholder it gave.

    `nonce` is the suffix that made the names of this run unique; it disappears everywhere.
    """

    __slots__ = ("_base", "_counts", "_nonce", "_seen")

    def __init__(self, *, nonce: str) -> None:
        self._nonce = f"-{nonce}"
        self._seen: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._base: Timestamp | None = None

    def text(self, value: str, *, kind: str = "uuid") -> str:
        """Returns a text without this run's nonce, ids and clock readings."""
        value = value.replace(self._nonce, "").replace("\xa0", " ")
        value = _UUID.sub(lambda match: self._placeholder(match.group(), kind), value)
        value = _RUN.sub(lambda match: f"<{len(match.group())} × {match.group(1)}>", value)
        return _CLOCK_FIELDS.sub("<time>", _CLOCK.sub("<time>", value))

    def failure(self, failure: RpcFailure) -> Json:
        """Returns the code, message and details of a failed RPC."""
        details = [self._any(detail) for detail in failure.details or ()]
        shown: dict[str, Json] = {"code": failure.code, "message": self.text(failure.message)}
        if failure.details is not None:
            shown["details"] = details
        if failure.mismatch:
            shown["mismatch"] = self.text(failure.mismatch)
        return shown

    def events(self, events: Iterable[HistoryEvent]) -> Json:
        """Returns history events with everything that is in them."""
        return [self.message(event) for event in events]

    def message(self, message: Message) -> Json:
        """Returns any protobuf message; fields that are not set are absent."""
        if isinstance(message, Timestamp):
            return self._time(message)
        if isinstance(message, Duration):
            return _duration(message)
        if isinstance(message, Payload):
            return self._payload(message)
        if isinstance(message, Payloads):
            return [self._payload(payload) for payload in message.payloads]
        if isinstance(message, AnyMessage):
            return self._any(message)
        if isinstance(message, History):
            return [f"{event.event_id} {_event_type(event)}" for event in message.events]
        if isinstance(message, HistoryEvent):
            return self._event(message)
        return self._fields(message)

    def plain(self, value: Json) -> Json:
        """Returns a JSON value with its texts normalised; messages inside it too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, RpcFailure):
            return self.failure(value)
        if isinstance(value, Message):
            return self.message(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.plain(item) for key, item in value.items()}
        if isinstance(value, bytes):
            return self._bytes(value)
        if isinstance(value, Sequence):
            return [self.plain(item) for item in value]
        return value

    def _event(self, event: HistoryEvent) -> Json:
        shown: dict[str, Json] = {"id": event.event_id, "type": _event_type(event)}
        for name in _ONCE_PER_EVENT:
            if not event.HasField("event_time") or not event.task_id:
                shown[name] = "<missing>"
        fields = self._fields(event)
        attributes = event.WhichOneof("attributes")
        if attributes is not None:
            shown |= fields.pop(attributes, {})
        hidden = ("event_id", "event_type", *_ONCE_PER_EVENT)
        return shown | {key: value for key, value in fields.items() if key not in hidden}

    def _fields(self, message: Message) -> dict[str, Json]:
        outer = self._base
        base = _base_time(message)
        if base is not None:
            self._base = base
        try:
            return {
                field.name: self._field(field, value)
                for field, value in sorted(message.ListFields(), key=lambda item: item[0].number)
                if field.name not in _ADVICE
            }
        finally:
            self._base = outer

    def _field(self, field: FieldDescriptor, value: Json) -> Json:
        if field.name in _OPAQUE:
            return _OPAQUE[field.name]
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            items = entry.fields_by_name["value"]
            keys = sorted(value, key=lambda key: (_UUID.sub("", str(key)), str(value[key])))
            return {self.text(str(key)): self._single(items, value[key]) for key in keys}
        if field.name in _SETS:
            return sorted(value)
        if field.is_repeated:
            return [self._single(field, item) for item in value]
        return self._single(field, value)

    def _single(self, field: FieldDescriptor, value: Json) -> Json:
        if field.message_type is not None:
            if field.name in _OFFSET_FIELDS and self._base is not None:
                return _offset(value, self._base)
            return self.message(value)
        if field.enum_type is not None:
            return _enum(field, value)
        if isinstance(value, bytes):
            return self._bytes(value)
        if isinstance(value, str):
            kind = next((k for end, k in _UUID_KINDS.items() if field.name.endswith(end)), "uuid")
            return self.text(value, kind=kind)
        return value

    def _payload(self, payload: Payload) -> Json:
        metadata = {key: self._bytes(value) for key, value in sorted(payload.metadata.items())}
        data = self._bytes(payload.data)
        if set(metadata) == {"encoding"} and not payload.external_payloads:
            return f"{metadata['encoding']}: {data}" if data else metadata["encoding"]
        return self._fields(payload) | {"metadata": metadata, "data": data}

    def _bytes(self, value: bytes) -> str:
        try:
            return self.text(value.decode())
        except UnicodeDecodeError:
            return "base64: " + base64.b64encode(value).decode()

    def _any(self, packed: AnyMessage) -> Json:
        name = packed.type_url.rpartition("/")[2]
        message = symbol_database.Default().GetSymbol(name)()
        packed.Unpack(message)
        return {"@type": name.rpartition(".")[2]} | self._fields(message)

    def _time(self, value: Timestamp) -> str:
        if value.seconds <= 0:
            return "<zero time>"
        return "<time>"

    def _placeholder(self, value: str, kind: str) -> str:
        known = self._seen.get(value)
        if known is None:
            self._counts[kind] = number = self._counts.get(kind, 0) + 1
            self._seen[value] = known = f"<{kind} {number}>"
        return known


def _event_type(event: HistoryEvent) -> str:
    field = HistoryEvent.DESCRIPTOR.fields_by_name["event_type"]
    return str(_enum(field, event.event_type))


def _enum(field: FieldDescriptor, number: int) -> str | int:
    """Returns the name of an enum's value without the prefix that repeats the enum's name."""
    kind = field.enum_type
    assert kind is not None, f"{field.full_name} is no enum"
    known = kind.values_by_number.get(number)
    if known is None:
        return number
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.name).upper() + "_"
    return str(known.name.removeprefix(prefix))


def _duration(value: Duration) -> str:
    """Returns a duration; one with microseconds was measured by a clock, and is rounded up."""
    if value.nanos % 1_000_000:
        return f"~{value.seconds + 1}s"
    return value.ToJsonString()


def _base_time(message: Message) -> Timestamp | None:
    name = message.DESCRIPTOR.name
    if name == "DescribeWorkflowExecutionResponse":
        info: Json = message
        return Timestamp.FromString(info.workflow_execution_info.start_time.SerializeToString())
    field = _BASE_TIMES.get(name)
    return None if field is None else getattr(message, field)


def _offset(value: Timestamp, base: Timestamp) -> str:
    """Returns a time as whole seconds from a base, which two runs share."""
    if value.seconds <= 0:
        return "<zero time>"
    away = timedelta(microseconds=(value.ToNanoseconds() - base.ToNanoseconds()) // 1000)
    return f"<start + {round(away.total_seconds())}s>"
