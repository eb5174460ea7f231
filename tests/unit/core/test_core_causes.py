"""The spans in which things are scheduled are stored with them, and nothing without a span."""

from dataclasses import replace

from temporalio.api.common.v1 import WorkflowExecution

from conformance.commands import schedule_activity, signal_external, start_timer
from perdure.core.protobuf import seconds
from perdure.core.workflow.causes import causes_of_due
from perdure.core.workflow.step import StepContext
from perdure.proto import stored_pb2 as stored
from unit.core.driver import Driver

STARTED, ANSWERED = b"s" * 24, b"a" * 24
TARGET = WorkflowExecution(workflow_id="target")


class Traced(Driver):
    """A driver whose steps are made in a span."""

    cause = b""

    def _context(self) -> StepContext:
        return replace(super()._context(), cause=self.cause)


def scheduling(started: bytes, answered: bytes) -> Traced:
    """Returns a run with a timer, an activity and a signal under way."""
    driver = Traced()
    driver.cause = started
    driver.start()
    driver.cause = answered
    driver.complete(
        driver.take_workflow_task(),
        start_timer("t", 60),
        schedule_activity("a", "queue"),
        signal_external(TARGET),
    )
    return driver


def test_each_thing_has_the_span_that_it_was_scheduled_in() -> None:
    driver = Traced()
    driver.cause = STARTED
    driver.start()
    assert driver.run().state.workflow_task.cause == STARTED
    run = scheduling(STARTED, ANSWERED).run()
    assert run.start.cause == STARTED
    assert [timer.cause for timer in run.timers.values()] == [ANSWERED]
    assert [info.cause for info in run.activities.values()] == [ANSWERED]


def test_hints_and_messages_carry_it() -> None:
    driver = scheduling(STARTED, ANSWERED)
    tasks = [task for commit in driver.commits for task in commit.tasks_added]
    assert [task.cause for task in tasks] == [STARTED, ANSWERED]
    (row,) = driver.outbox
    message = stored.Message.FromString(row.data)
    assert (message.cause, message.signal.name) == (ANSWERED, "signal")


def test_what_is_due_names_its_causes_once() -> None:
    driver = scheduling(STARTED, ANSWERED)
    run = driver.run()
    assert causes_of_due(run, driver.now) == []
    assert causes_of_due(run, driver.now + seconds(60)) == [ANSWERED]
    driver.cause = STARTED
    driver.signal("wake")
    late = causes_of_due(driver.run(), driver.now + seconds(10**6))
    assert late[0] == ANSWERED
    assert len(late) == len(set(late))


def test_without_a_span_nothing_is_stored() -> None:
    def size(driver: Driver) -> int:
        return sum(
            len(write.state) + len(write.start or b"") + sum(map(len, write.items_put.values()))
            for commit in driver.commits
            for write in commit.runs
        ) + sum(len(row.data) for row in driver.outbox)

    plain, traced = scheduling(b"", b""), scheduling(STARTED, ANSWERED)
    assert all(info.cause == b"" for info in plain.run().activities.values())
    assert size(plain) < size(traced)
