"""The next release, as far as formats go: every message with fields that this one does not know.

It is made from this release's own descriptors, so that it knows whatever this one knows.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

FIRST_NEW_FIELD = 900
_TYPES = descriptor_pb2.FieldDescriptorProto
NEW_FIELDS = {
    "future_number": _TYPES.TYPE_INT64,
    "future_text": _TYPES.TYPE_STRING,
    "future_bytes": _TYPES.TYPE_BYTES,
    "future_part": _TYPES.TYPE_MESSAGE,
}


class NextRelease:
    """The messages of one file as the next release has them."""

    def __init__(self, file: FileDescriptor) -> None:
        self._pool = DescriptorPool()
        self._add(file, changed=file)

    def message(self, name: str) -> type[Message]:
        """Returns the class of a message, by its full name."""
        return GetMessageClass(self._pool.FindMessageTypeByName(name))

    def _add(self, file: FileDescriptor, *, changed: FileDescriptor) -> None:
        for needed in file.dependencies:
            try:
                self._pool.FindFileByName(needed.name)
            except KeyError:
                self._add(needed, changed=changed)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        if file is changed:
            for message in proto.message_type:
                _extend(message, f".{proto.package}.{message.name}")
        self._pool.Add(proto)


def _extend(message: descriptor_pb2.DescriptorProto, full_name: str) -> None:
    for offset, (name, kind) in enumerate(NEW_FIELDS.items()):
        field = message.field.add(
            name=name,
            number=FIRST_NEW_FIELD + offset,
            type=kind,
            label=_TYPES.LABEL_OPTIONAL,
        )
        if kind == _TYPES.TYPE_MESSAGE:
            field.type_name = full_name
    for nested in message.nested_type:
        if not nested.options.map_entry:
            _extend(nested, f"{full_name}.{nested.name}")
    for enum in message.enum_type:
        prefix = enum.value[0].name.removesuffix("UNSPECIFIED")
        enum.value.add(name=f"{prefix}FUTURE", number=99)


def fill(message: Message, *, depth: int = 3) -> None:
    """Sets every field of a message to something, parts down to a depth."""
    for number, field in enumerate(message.DESCRIPTOR.fields, start=1):
        oneof = field.containing_oneof
        if oneof is not None and len(oneof.fields) > 1 and message.WhichOneof(oneof.name):
            continue
        _fill_field(message, field, number, depth)


def _fill_field(message: Any, field: FieldDescriptor, number: int, depth: int) -> None:
    if field.message_type is None:
        value = _scalar(field, number)
        if field.is_repeated:
            getattr(message, field.name).extend([value, value])
        else:
            setattr(message, field.name, value)
        return
    if depth == 0:
        return
    if field.message_type.GetOptions().map_entry:
        entry = getattr(message, field.name)
        key = _scalar(field.message_type.fields_by_name["key"], number)
        value_field = field.message_type.fields_by_name["value"]
        if value_field.message_type is None:
            entry[key] = _scalar(value_field, number)
        else:
            fill(entry[key], depth=depth - 1)
    elif field.is_repeated:
        fill(getattr(message, field.name).add(), depth=depth - 1)
    else:
        part = getattr(message, field.name)
        part.SetInParent()
        fill(part, depth=depth - 1)


def _scalar(field: FieldDescriptor, number: int) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            text = f"value {number}"
            return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return number + 0.5
        case FieldDescriptor.CPPTYPE_ENUM:
            return field.enum_type.values[-1].number
        case _:
            return number


def known_fields(message: Message, descriptor: Descriptor) -> Iterator[tuple[str, object]]:
    """Yields what a message of the next release says in fields that a descriptor has, flat."""
    for name, field in descriptor.fields_by_name.items():
        value = getattr(message, name)
        if field.message_type is None:
            yield name, list(value) if field.is_repeated else value
        elif field.message_type.GetOptions().map_entry:
            yield name, sorted(str(key) for key in value)
        elif field.is_repeated:
            for index, part in enumerate(value):
                for path, inner in known_fields(part, field.message_type):
                    yield f"{name}[{index}].{path}", inner
        elif message.HasField(name):
            for path, inner in known_fields(value, field.message_type):
                yield f"{name}.{path}", inner
