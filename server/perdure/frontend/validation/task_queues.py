"""Names of task queues."""

from typing import Final

from temporalio.api.enums.v1.task_queue_pb2 import TASK_QUEUE_KIND_STICKY
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue

from perdure.core.errors import InvalidArgumentError
from perdure.frontend.validation.identifiers import is_too_long, refuse_nul

PARTITION_PREFIX: Final = "/_sys/"
_SYSTEM_WORKERS_QUEUE: Final = "temporal-sys-per-ns-tq"


def check_task_queue(queue: TaskQueue, *, is_set: bool, max_bytes: int) -> None:
    """Checks the task queue that a worker polls or a caller describes."""
    if not is_set:
        raise InvalidArgumentError("taskQueue is not set")
    check_name(queue.name, max_bytes)
    if queue.kind == TASK_QUEUE_KIND_STICKY:
        if is_too_long(queue.normal_name, max_bytes):
            raise InvalidArgumentError("taskQueue length exceeds limit")
        refuse_nul("taskQueue", queue.normal_name)


def check_start_queue(queue: TaskQueue, *, is_set: bool, max_bytes: int) -> None:
    """Checks the task queue of a workflow that shall be started."""
    if not is_set:
        raise InvalidArgumentError("taskQueue is not set")
    check_name(queue.name, max_bytes)
    if queue.name == _SYSTEM_WORKERS_QUEUE:
        raise InvalidArgumentError(f"cannot use internal per-namespace task queue:{queue.name}")


def check_name(name: str, max_bytes: int) -> None:
    """Checks a task queue's name."""
    if not name:
        raise InvalidArgumentError("missing task queue name")
    if is_too_long(name, max_bytes):
        raise InvalidArgumentError("taskQueue length exceeds limit")
    if name.startswith(PARTITION_PREFIX):
        raise InvalidArgumentError(
            f"task queue name cannot start with reserved prefix {PARTITION_PREFIX}"
        )
    refuse_nul("taskQueue", name)
