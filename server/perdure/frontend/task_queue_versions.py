"""DescribeTaskQueue by version: which versions of a queue, and which of its types, are told of.

No worker is versioned here, so whatever a queue has belongs to the version "", which is always
reachable. A named build is told of as one that nothing reaches. So is a type that has no tasks
here: matching is asked for what it may know of, and the rest is empty.
"""

from temporalio.api.enums.v1.task_queue_pb2 import (
    BUILD_ID_TASK_REACHABILITY_REACHABLE,
    BUILD_ID_TASK_REACHABILITY_UNREACHABLE,
    TASK_QUEUE_TYPE_ACTIVITY,
    TASK_QUEUE_TYPE_WORKFLOW,
    TaskQueueType,
)
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

UNVERSIONED = ""
_WITH_TASKS = (TASK_QUEUE_TYPE_WORKFLOW, TASK_QUEUE_TYPE_ACTIVITY)


def asked_of_matching(request: wf.DescribeTaskQueueRequest) -> wf.DescribeTaskQueueRequest | None:
    """Returns the part of a request that matching answers; None when there is none."""
    types = [number for number in _types(request) if number in _WITH_TASKS]
    if not types or UNVERSIONED not in _versions(request):
        return None
    asked = wf.DescribeTaskQueueRequest()
    asked.CopyFrom(request)
    asked.ClearField("versions")
    del asked.task_queue_types[:]
    asked.task_queue_types.extend(types)
    return asked


def described(
    request: wf.DescribeTaskQueueRequest, found: wf.DescribeTaskQueueResponse | None
) -> wf.DescribeTaskQueueResponse:
    """Returns the whole answer, with what matching has found of the version ""."""
    known = {} if found is None else found.versions_info[UNVERSIONED].types_info
    response = wf.DescribeTaskQueueResponse()
    for version in _versions(request):
        info = response.versions_info[version]
        if request.report_task_reachability:
            info.task_reachability = (
                BUILD_ID_TASK_REACHABILITY_UNREACHABLE
                if version
                else BUILD_ID_TASK_REACHABILITY_REACHABLE
            )
        for number in _types(request):
            told = info.types_info[number]
            if version == UNVERSIONED and number in known:
                told.CopyFrom(known[number])
            elif request.report_stats:
                told.stats.approximate_backlog_age.SetInParent()
    return response


def _types(request: wf.DescribeTaskQueueRequest) -> list[TaskQueueType.ValueType]:
    return list(dict.fromkeys(request.task_queue_types or _WITH_TASKS))


def _versions(request: wf.DescribeTaskQueueRequest) -> list[str]:
    """Returns the versions asked for; "all active" are those of versioned workers: none."""
    if not request.HasField("versions"):
        return [UNVERSIONED]
    unversioned = [UNVERSIONED] if request.versions.unversioned else []
    return list(dict.fromkeys((*unversioned, *request.versions.build_ids)))
