"""Task tokens: what a worker shows to prove which start of which task it answers for."""

from google.protobuf.message import DecodeError

from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.core.workflow.state import Run
from perdure.proto import stored_pb2 as stored


class TokenMaker:
    """Makes and reads task tokens of one store's incarnation."""

    def __init__(self, *, incarnation: str) -> None:
        self._incarnation = incarnation

    def workflow_task(self, run: Run) -> stored.TaskToken:
        """Returns the token of the workflow task that has just started."""
        task = run.state.workflow_task
        return stored.TaskToken(
            kind=stored.TaskToken.KIND_WORKFLOW,
            namespace_id=run.key.namespace_id,
            workflow_id=run.key.workflow_id,
            run_id=run.key.run_id,
            scheduled_event_id=task.scheduled_event_id,
            attempt=task.attempt,
            nonce=task.nonce,
            store_incarnation=self._incarnation,
            cause=task.cause,
        )

    def activity(self, run: Run, activity: stored.ActivityInfo) -> stored.TaskToken:
        """Returns the token of an activity attempt that has just started."""
        return stored.TaskToken(
            kind=stored.TaskToken.KIND_ACTIVITY,
            namespace_id=run.key.namespace_id,
            workflow_id=run.key.workflow_id,
            run_id=run.key.run_id,
            scheduled_event_id=activity.scheduled_event_id,
            attempt=activity.attempt,
            nonce=activity.nonce,
            store_incarnation=self._incarnation,
            activity_id=activity.activity_id,
            cause=activity.cause,
        )

    def read(self, blob: bytes, missing: str) -> stored.TaskToken:
        """Returns what a token says.

        Args:
            blob: The token.
            missing: What to answer when it is another incarnation's: its task is not here.

        Raises:
            InvalidArgumentError: It is no token.
            NotFoundError: It was given out before the store was restored or promoted.
        """
        if not blob:
            raise InvalidArgumentError("Task token not set on request.")
        try:
            token = stored.TaskToken.FromString(blob)
        except DecodeError:
            raise InvalidArgumentError("Error deserializing task token.") from None
        if token.kind == stored.TaskToken.KIND_UNSPECIFIED:
            raise InvalidArgumentError("Error deserializing task token.")
        if token.store_incarnation != self._incarnation:
            raise NotFoundError(missing)
        return token
