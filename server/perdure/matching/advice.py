"""What the answer to a poll tells the worker beside its task: backlog, and how many polls to make.

The fields are appended to the serialised answer, which is passed on unread: protobuf reads a
message's fields in any order.
"""

from temporalio.api.taskqueue.v1.message_pb2 import PollerScalingDecision
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskType
from perdure.core.matching.scaling import QueueLoad
from perdure.matching.partition import Partition
from perdure.matching.waiting import ForwardedTask, Match


def advice(
    partition: Partition, match: Match, *, waited: float, now: float, loop_time: float
) -> bytes:
    """Returns the fields to append, empty where there is nothing to say.

    Args:
        partition: Where the poll was answered.
        match: What it got.
        waited: How long it took, in seconds.
        now: The time, in seconds since the epoch.
        loop_time: The event loop's, in seconds.
    """
    load = QueueLoad(_oldest_wait(partition, match, now), partition.rates(loop_time))
    delta = partition.scaling.suggest(load, waited=waited, polls=partition.polls, now=loop_time)
    is_workflow = partition.queue.task_type is TaskType.WORKFLOW
    count = partition.backlog.waiting if is_workflow else 0
    if not delta and not count:
        return b""
    decision = PollerScalingDecision(poll_request_delta_suggestion=delta) if delta else None
    fields: wf.PollWorkflowTaskQueueResponse | wf.PollActivityTaskQueueResponse
    if is_workflow:
        fields = wf.PollWorkflowTaskQueueResponse(
            backlog_count_hint=count, poller_scaling_decision=decision
        )
    else:
        fields = wf.PollActivityTaskQueueResponse(poller_scaling_decision=decision)
    return fields.SerializeToString()


def _oldest_wait(partition: Partition, match: Match, now: float) -> float:
    scheduled = [partition.backlog.approximate_oldest]
    if isinstance(match, ForwardedTask):
        match = match.task
    if isinstance(match, DispatchTask):
        scheduled.append(match.scheduled_time)
    return max((now - time * 1e-9 for time in scheduled if time), default=0.0)
