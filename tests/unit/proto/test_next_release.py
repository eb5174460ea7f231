"""Mixed versions: this release reads what the next one writes, and loses none of it.

Nodes of both releases run beside each other while a cluster is upgraded. Whatever one of them
writes the other one reads, changes and writes back: stored rows, task tokens, calls between nodes.
"""

import pytest
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.message_factory import GetMessageClass

from perdure.proto import internode_pb2, stored_pb2
from unit.proto.next_release import FIRST_NEW_FIELD, NEW_FIELDS, NextRelease, fill, known_fields

FILES = (stored_pb2.DESCRIPTOR, internode_pb2.DESCRIPTOR)
MESSAGES = [
    pytest.param(file, message, id=message.full_name)
    for file in FILES
    for message in file.message_types_by_name.values()
]


@pytest.mark.parametrize(("file", "descriptor"), MESSAGES)
def test_what_the_next_release_writes_is_read_and_kept(
    file: FileDescriptor, descriptor: Descriptor
) -> None:
    written = NextRelease(file).message(descriptor.full_name)()
    fill(written)
    blob = written.SerializeToString(deterministic=True)

    read = GetMessageClass(descriptor).FromString(blob)
    assert dict(known_fields(read, descriptor)) == dict(known_fields(written, descriptor))

    again = type(written).FromString(read.SerializeToString())
    assert again == written


@pytest.mark.parametrize(("file", "descriptor"), MESSAGES)
def test_what_this_release_writes_is_whole_for_the_next(
    file: FileDescriptor, descriptor: Descriptor
) -> None:
    written = GetMessageClass(descriptor)()
    fill(written)
    read = NextRelease(file).message(descriptor.full_name).FromString(written.SerializeToString())
    assert dict(known_fields(read, descriptor)) == dict(known_fields(written, descriptor))
    assert not any(field.number >= FIRST_NEW_FIELD for field, _ in read.ListFields())


@pytest.mark.parametrize("file", FILES)
def test_no_field_is_in_the_way_of_the_fields_that_stand_for_new_ones(
    file: FileDescriptor,
) -> None:
    for message in file.message_types_by_name.values():
        assert not NEW_FIELDS.keys() & message.fields_by_name.keys()
        assert all(field.number < FIRST_NEW_FIELD for field in message.fields)
