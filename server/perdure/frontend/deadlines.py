"""How long a call may wait."""

from perdure.core.errors import FailedPreconditionError, InvalidArgumentError
from perdure.frontend.settings import FrontendSettings
from perdure.rpc.handler import RequestContext


def task_poll_timeout(context: RequestContext, settings: FrontendSettings) -> float:
    """Returns how long a poll for tasks may wait, in seconds.

    Raises:
        InvalidArgumentError: The caller sets no deadline.
        FailedPreconditionError: It is too near to be of use.
    """
    remaining = context.time_remaining()
    if remaining is None:
        raise InvalidArgumentError("Context timeout is not set.")
    if remaining < settings.min_poll_seconds:
        raise FailedPreconditionError("Context timeout is too short.")
    return min(settings.task_poll_seconds, remaining - settings.poll_margin_seconds)


def history_poll_timeout(context: RequestContext, settings: FrontendSettings) -> float:
    """Returns how long a read of history may wait for a new event, in seconds."""
    remaining = context.time_remaining()
    if remaining is None:
        return settings.history_poll_seconds
    margin = min(settings.poll_margin_seconds, remaining / 2)
    return min(settings.history_poll_seconds, remaining - margin)


def query_timeout(context: RequestContext, settings: FrontendSettings) -> float:
    """Returns how long a query may wait for a worker, in seconds."""
    remaining = context.time_remaining()
    return settings.query_seconds if remaining is None else remaining


def update_timeout(context: RequestContext, settings: FrontendSettings) -> float:
    """Returns how long an update may be waited for, in seconds; then the stage reached is told."""
    remaining = context.time_remaining()
    if remaining is None:
        return settings.history_poll_seconds
    return max(min(settings.history_poll_seconds, remaining), 0.0)
