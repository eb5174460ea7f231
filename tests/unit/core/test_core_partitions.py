"""Tasks of queues with several partitions: their rows are found wherever they were put."""

from dataclasses import replace

from conformance.commands import schedule_activity
from conformance.driver import application_failure
from perdure.core.commit import TaskType
from perdure.core.matching.partitions import partition_of
from perdure.core.protobuf import seconds
from perdure.core.workflow.settings import WorkflowSettings
from unit.core.checks import Checker
from unit.core.driver import QUEUE, STICKY_QUEUE, Driver

PARTITIONS = 64
"""So many that a task is seldom in the first one by chance."""


def divided() -> Driver:
    return Driver(WorkflowSettings(write_partitions=PARTITIONS))


def undivide(driver: Driver) -> None:
    """Makes queues have one partition from now on, which memory does not know of."""
    driver.settings = replace(driver.settings, write_partitions=1)
    driver.forget()


def partition_of_the(driver: Driver, task_type: TaskType) -> int:
    """Returns the partition of the one task; it must be the one that its id says."""
    (row,) = driver.pending(task_type)
    assert row.key.queue.partition == partition_of(row.key.task_id, PARTITIONS)
    return row.key.queue.partition


def test_a_workflow_tasks_row_is_found_after_the_number_has_changed() -> None:
    driver = divided()
    driver.start()
    assert partition_of_the(driver, TaskType.WORKFLOW)
    undivide(driver)
    taken = driver.take_workflow_task()
    assert not driver.rows.tasks
    driver.undo_start(taken)
    (row,) = driver.pending(TaskType.WORKFLOW)
    assert row.key.queue.partition == 0
    Checker(driver).check()


def test_each_attempt_of_an_activity_is_put_into_a_partition_of_its_own() -> None:
    driver = divided()
    driver.start()
    driver.complete(driver.take_workflow_task(), schedule_activity("a", QUEUE))
    first = partition_of_the(driver, TaskType.ACTIVITY)
    driver.fail_activity(driver.take_activity(), application_failure("again"))
    driver.advance(seconds(2))
    assert partition_of_the(driver, TaskType.ACTIVITY) != first
    undivide(driver)
    driver.fail_activity(driver.take_activity(), application_failure("again"))
    driver.advance(seconds(4))
    (row,) = driver.pending(TaskType.ACTIVITY)
    assert row.key.queue.partition == 0
    Checker(driver).check()


def test_a_sticky_queue_is_not_divided() -> None:
    driver = divided()
    driver.start()
    driver.complete(driver.take_workflow_task(), sticky=True)
    driver.signal("wake")
    (row,) = driver.pending(TaskType.WORKFLOW, STICKY_QUEUE)
    assert row.key.queue.partition == 0
    driver.advance(seconds(6))
    (row,) = driver.pending(TaskType.WORKFLOW, QUEUE)
    assert row.key.queue.partition == partition_of(row.key.task_id, PARTITIONS) > 0
