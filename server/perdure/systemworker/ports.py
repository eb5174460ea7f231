"""What the system worker needs of others."""

from collections.abc import Callable
from typing import Protocol

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.rpc.clients import Namespace

LooksAfter = Callable[[str], bool]
"""Tells whether a namespace, by its id, is this node's to look after.

For a moment two nodes may both think so: what they do is harmless when it is done twice.
"""


class RunRemover(Protocol):
    """What deletes runs: history."""

    async def delete_workflow_execution(
        self, namespace: Namespace, request: wf.DeleteWorkflowExecutionRequest
    ) -> wf.DeleteWorkflowExecutionResponse:
        """Deletes a run; an open one is terminated first, and deleted soon after."""
        ...


class DeletionObserver(Protocol):
    """Who is told what was deleted."""

    def deleted(self, namespace: str, runs: int) -> None:
        """So many runs of a namespace were deleted, or had been."""
        ...

    def failed(self, namespace: str, runs: int) -> None:
        """So many could not be deleted; they are tried again later."""
        ...
