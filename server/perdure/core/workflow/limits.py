"""How much a run may hold, in its history and beside it: what passes a limit is ended.

The step that would pass it is thrown away, and the run is terminated in its place, so that a
history never has more than its readers can bear. Who asked for the step is told why. What is
pending (activities with their details, timers, buffered events, request ids) is judged as the step
before has left it.
"""

from perdure.core.commit import RunKey
from perdure.core.workflow.close import Termination, terminate
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step

TOO_MANY_BYTES = "Workflow history size exceeds limit."
TOO_MANY_EVENTS = "Workflow history count exceeds limit."
TOO_MUCH_STATE = "Workflow mutable state size exceeds limit."
IDENTITY = "history-service"


class RunLimitExceeded(Exception):
    """A step would make a run too large: drop what it did, and end the run.

    Attributes:
        run: The run.
        reason: Which limit it is, in the real server's words.
    """

    def __init__(self, run: RunKey, reason: str) -> None:
        super().__init__(reason)
        self.run = run
        self.reason = reason

    def end(self, step: Step, run: Run) -> None:
        """Ends the run, as it was before that step, unless it has ended meanwhile."""
        if run.is_running:
            terminate(step.edit(run), Termination(self.reason, identity=IDENTITY))


def check_limits(step: Step) -> None:
    """Raises RunLimitExceeded when a run that was open before the step has grown too long."""
    settings = step.context.settings
    for change in step.runs.values():
        state = change.state
        if not change.expected_version or not change.run.is_running:
            continue
        if state.history_size_bytes > settings.max_history_bytes:
            raise RunLimitExceeded(change.run.key, TOO_MANY_BYTES)
        if state.next_event_id - 1 > settings.max_history_events:
            raise RunLimitExceeded(change.run.key, TOO_MANY_EVENTS)
        if change.run.item_bytes > settings.max_state_bytes:
            raise RunLimitExceeded(change.run.key, TOO_MUCH_STATE)
