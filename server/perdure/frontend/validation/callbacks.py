"""Callbacks on completion, and what a start attaches to a run that is open already.

The real server calls back only addresses that its operator has allowed, and none is by default.
Here none can be allowed yet: every callback is refused just as it is there.
"""

from collections.abc import Sequence
from typing import Final

from temporalio.api.common.v1.message_pb2 import Callback
from temporalio.api.workflow.v1.message_pb2 import OnConflictOptions

from perdure.core.errors import InvalidArgumentError, UnimplementedError

_MOST_URL_BYTES: Final = 1_000
_INTERNAL_URL: Final = "temporal://"


def check_conflict_options(options: OnConflictOptions) -> None:
    """Checks what a start asks to be attached."""
    if options.attach_completion_callbacks and not options.attach_request_id:
        raise InvalidArgumentError(
            "attaching request ID is required for attaching completion callbacks"
        )


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Refuses callbacks."""
    for callback in callbacks:
        variant = callback.WhichOneof("variant")
        if variant is None:
            raise UnimplementedError("unknown callback variant: <nil>")
        if variant != "nexus" or callback.nexus.url.startswith(_INTERNAL_URL):
            raise UnimplementedError(
                "completion callbacks within the cluster are not implemented by this server yet"
            )
        _refuse_url(callback.nexus.url)


def _refuse_url(url: str) -> None:
    if len(url.encode()) > _MOST_URL_BYTES:
        raise InvalidArgumentError(
            f"invalid url: url length longer than max length allowed of {_MOST_URL_BYTES}"
        )
    if not url.startswith(("http://", "https://")):
        raise InvalidArgumentError(f"invalid url: unknown scheme: {url}")
    raise InvalidArgumentError(
        f"invalid url: url does not match any configured callback address: {url}"
    )
