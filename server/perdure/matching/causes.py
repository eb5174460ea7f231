"""What brought a task about, where matching has read the task from the store.

A hint says it; a task's row does not, since the run has stored it with the pending task already,
and history puts it into the token that the worker gets. So a row costs nothing for it, with tracing
or without.
"""

from typing import Final

from google.protobuf.message import DecodeError
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.protobuf import first_field
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded
from perdure.telemetry.tracing import Cause

_TOKEN: Final = wf.PollWorkflowTaskQueueResponse.TASK_TOKEN_FIELD_NUMBER
"""The same for activities."""


def cause_of(response: Encoded) -> Cause:
    """Returns the span that brought the task about that a response brings; empty where none did.

    Only the token is parsed: the response may hold a long history.
    """
    try:
        return stored.TaskToken.FromString(first_field(response, _TOKEN)).cause
    except DecodeError:
        # Whoever completes the task is told; nobody loses a task for want of a span.
        return b""
