"""What memo fields and search attributes are after some of them were set anew or removed."""

from google.protobuf.internal.containers import MessageMap
from temporalio.api.common.v1 import message_pb2 as common

_NULLS = (b"null", b"[]", b"")


def merge(
    fields: MessageMap[str, common.Payload], upserted: MessageMap[str, common.Payload]
) -> None:
    """Sets the upserted fields; those whose value is null are removed."""
    for name, payload in upserted.items():
        if _is_null(payload):
            fields.pop(name, None)
        else:
            fields[name].CopyFrom(payload)


def _is_null(payload: common.Payload) -> bool:
    encoding = payload.metadata.get("encoding", b"")
    if encoding == b"binary/null":
        return True
    return encoding == b"json/plain" and payload.data in _NULLS
