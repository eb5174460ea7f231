"""Callbacks on a run's completion: those it was started with, and those attached since.

A chain of runs keeps them to its end: each new run begins with all that the one before it had.
"""

from collections.abc import Iterator
from typing import NamedTuple

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import common_pb2 as states
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import FailedPreconditionError
from perdure.core.protobuf import set_timestamp
from perdure.core.workflow.state import Run


class Registered(NamedTuple):
    """A callback, and when the run was given it, in nanoseconds since the Unix epoch."""

    callback: common.Callback
    time: int


def callbacks_of(run: Run) -> Iterator[Registered]:
    """Iterates over a run's callbacks, in the order in which it was given them."""
    for callback in run.start.completion_callbacks:
        yield Registered(callback, run.start.start_time)
    for attached in run.attached.values():
        for callback in attached.completion_callbacks:
            yield Registered(callback, attached.time)


def check_room(run: Run, count: int, most: int) -> None:
    """Raises FailedPreconditionError unless a run may have `count` callbacks more."""
    attached = sum(1 for _ in callbacks_of(run))
    if count and attached + count > most:
        raise FailedPreconditionError(
            f"cannot attach more than {most} callbacks to a workflow"
            f" ({attached} callbacks already attached)"
        )


def describe_callbacks(response: wf.DescribeWorkflowExecutionResponse, run: Run) -> None:
    """Adds a run's callbacks to its description."""
    for registered in callbacks_of(run):
        info = response.callbacks.add()
        info.callback.CopyFrom(registered.callback)
        info.trigger.workflow_closed.SetInParent()
        set_timestamp(info.registration_time, registered.time)
        info.state = states.CALLBACK_STATE_STANDBY
