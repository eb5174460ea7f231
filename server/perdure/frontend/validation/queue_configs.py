"""What may be configured of a task queue. Texts are the real server's, but for what is not here."""

import math

from temporalio.api.enums.v1.task_queue_pb2 import TASK_QUEUE_TYPE_WORKFLOW
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError, UnimplementedError
from perdure.frontend.validation.identifiers import is_too_long, refuse_nul
from perdure.frontend.validation.task_queues import PARTITION_PREFIX


def check_queue_config(request: wf.UpdateTaskQueueConfigRequest, max_bytes: int) -> None:
    """Checks a change of a queue's configuration."""
    if (
        request.HasField("update_fairness_key_rate_limit_default")
        or request.set_fairness_weight_overrides
        or request.unset_fairness_weight_overrides
    ):
        raise UnimplementedError(
            "rate limits and weights of fairness keys are not implemented by this server yet"
        )
    if is_too_long(request.identity, max_bytes):
        raise InvalidArgumentError(f"Identity field too long (max {max_bytes} characters).")
    if request.task_queue.startswith(PARTITION_PREFIX):
        raise InvalidArgumentError(f"invalid task queue partition name {request.task_queue}")
    refuse_nul("taskQueue", request.task_queue)
    if not request.HasField("update_queue_rate_limit"):
        return
    if request.task_queue_type == TASK_QUEUE_TYPE_WORKFLOW:
        raise InvalidArgumentError("Setting rate limit on workflow task queues is not allowed.")
    update = request.update_queue_rate_limit
    rate = update.rate_limit.requests_per_second
    if rate < 0:
        raise InvalidArgumentError(
            "RequestsPerSecond for UpdateQueueRateLimit rate limit must be non-negative."
        )
    if not math.isfinite(rate):
        raise InvalidArgumentError("RequestsPerSecond must be a finite number.")
    if is_too_long(update.reason, max_bytes):
        raise InvalidArgumentError(
            f"UpdateQueueRateLimit.Reason field too long (max {max_bytes} characters)."
        )
