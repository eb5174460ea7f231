"""Sizes of what clients want to be kept."""

from google.protobuf.message import Message

from perdure.core.errors import InvalidArgumentError


def check_blob(message: Message, max_bytes: int) -> None:
    """Checks the size of an input, of a signal's or a query's arguments."""
    if message.ByteSize() > max_bytes:
        raise InvalidArgumentError("Blob data size exceeds limit.")


def check_memo(memo: Message, max_bytes: int) -> None:
    """Checks the size of a memo."""
    if memo.ByteSize() > max_bytes:
        raise InvalidArgumentError("Memo size exceeds limit.")
