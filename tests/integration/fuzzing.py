"""Requests made of a seed: messages of any RPC, with fields that are nonsense.

Half of the requests are sound ones with a few fields changed, so that they get past validation.
Names come from small sets, so that requests meet: the same workflows are started, signalled,
polled, and completed with tokens that were valid once.
"""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from perdure.rpc.methods import Method, public_methods
from unit.frontend.invalid_requests import FAMILIES

if TYPE_CHECKING:
    from google._upb import _message as upb

    Field = FieldDescriptor | upb.FieldDescriptor

_DEEPEST = 4
_FIELD_CHANCE = 0.35
_NAMES = (
    *("w1", "w2", "w3", "queue", "signal", "a") * 3,
    *("", "x" * 1_001, "\u0000", "ünï☃", "/_sys/queue/1"),
)
_NUMBERS = (0, 1, 2, 3, 7, 300, -1, -(2**31), 2**31 - 1)
_LONG_NUMBERS = (*_NUMBERS, 2**63 - 1, -(2**63))
_FLOATS = (0.0, 0.5, 1.0, 2.5, -1.0, 1e308, float("inf"), float("nan"))
_BYTES = (b"", b"\x00", b"zz", b'"text"', b"5", b"[]", b"null", b"\xff" * 20, b"x" * 3_000)
_NAMESPACES = ("default",) * 8 + ("", "nowhere", "x" * 1_001)
_RUN_IDS = ("", "", "", "zz", "01a20bb2-3a33-7a6c-80df-778edbcdb527")
_QUERIES = ("", "WorkflowId = 'w1'", "ExecutionStatus = 'Running'", "(", "GROUP BY ExecutionStatus")
_INT64 = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
_INT32 = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32)

_SOUND = {family.rpc: family.request() for family in FAMILIES}

METHODS: tuple[Method, ...] = tuple(public_methods())
"""Every RPC, those without a handler too."""
_HANDLED = tuple(method for method in METHODS if method.name in _SOUND)


class Fuzzer:
    """Makes requests; the same seed and tokens give the same requests."""

    def __init__(self, seed: int, tokens: Sequence[bytes]) -> None:
        self._random = random.Random(seed)
        self._tokens = tuple(tokens)

    def method(self) -> Method:
        """Chooses an RPC, mostly one that does something."""
        return self._random.choice(METHODS if self._random.random() < 0.1 else _HANDLED)

    def request(self, method: Method) -> bytes:
        """Makes a serialised request of an RPC, which is damaged once in a while."""
        sound = _SOUND.get(method.name)
        if sound is not None and self._random.random() < 0.5:
            message = method.parse(sound.SerializeToString())
            self._fill(message, 0, self._random.choice((0.0, 0.05, 0.2)))
        else:
            message = method.parse(b"")
            self._fill(message, 0, 0.65)
        if method.names_namespace:
            message.namespace = self._random.choice(_NAMESPACES)  # type: ignore[attr-defined]
        data = message.SerializeToString()
        return self._damaged(data) if self._random.random() < 0.1 else data

    def _damaged(self, data: bytes) -> bytes:
        damaged = bytearray(data)
        for _ in range(self._random.randint(1, 5)):
            at = self._random.randrange(len(damaged) or 1)
            match self._random.randrange(3):
                case 0:
                    damaged[at : at + 1] = self._random.randbytes(1)
                case 1:
                    damaged[at:at] = self._random.randbytes(self._random.randint(1, 8))
                case _:
                    del damaged[at:]
        return bytes(damaged)

    def _fill(self, message: Message, depth: int, chance: float = _FIELD_CHANCE) -> None:
        for field in message.DESCRIPTOR.fields:
            certain = field.name == "task_token"
            if not certain and self._random.random() > chance:
                continue
            if field.is_repeated:
                self._fill_repeated(message, field, depth)
            elif field.message_type is not None:
                if depth < _DEEPEST:
                    self._fill(getattr(message, field.name), depth + 1)
                    getattr(message, field.name).SetInParent()
            else:
                setattr(message, field.name, self._scalar(field))

    def _fill_repeated(self, message: Message, field: "Field", depth: int) -> None:
        if depth >= _DEEPEST:
            return
        entry = field.message_type
        target = getattr(message, field.name)
        for _ in range(self._random.randint(0, 3)):
            if entry is None:
                target.append(self._scalar(field))
            elif entry.GetOptions().map_entry:
                self._fill_map(target, entry, depth)
            else:
                self._fill(target.add(), depth + 1)

    def _fill_map(self, target: Any, entry: "Descriptor | upb.Descriptor", depth: int) -> None:
        key = self._scalar(entry.fields_by_name["key"])
        value = entry.fields_by_name["value"]
        if value.message_type is None:
            target[key] = self._scalar(value)
            return
        self._fill(target[key], depth + 1)

    def _scalar(self, field: "Field") -> object:
        choose = self._random.choice
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._token() if "token" in field.name else choose(_BYTES)
        if field.type == FieldDescriptor.TYPE_STRING:
            return choose(_strings_for(field.name))
        if field.type == FieldDescriptor.TYPE_BOOL:
            return choose((True, False))
        if field.type == FieldDescriptor.TYPE_ENUM:
            return self._random.randint(-1, 12)
        if field.cpp_type in _INT64:
            return self._in_range(field, choose(_LONG_NUMBERS))
        if field.cpp_type in _INT32:
            return self._in_range(field, choose(_NUMBERS))
        return choose(_FLOATS)

    def _token(self) -> bytes:
        token = self._random.choice((*self._tokens * 3, b"", b"zz", b"\x00"))
        return self._damaged(token) if self._random.random() < 0.1 else token

    @staticmethod
    def _in_range(field: "Field", number: int) -> int:
        unsigned = field.cpp_type in (
            FieldDescriptor.CPPTYPE_UINT32,
            FieldDescriptor.CPPTYPE_UINT64,
        )
        return abs(number) if unsigned else number


def _strings_for(name: str) -> Sequence[str]:
    if "run_id" in name:
        return _RUN_IDS
    return _QUERIES if name == "query" else _NAMES
