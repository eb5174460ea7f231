"""A user timer: pending until it fires or is cancelled, both of which remove it."""

from perdure.proto import stored_pb2 as stored


def deadline(timer: stored.TimerInfo) -> int:
    """Returns when the timer fires."""
    return timer.due
