"""Updates in the core: what is written of them, and when; speculative workflow tasks."""

import pytest
from temporalio.api.enums.v1 import EventType

from conformance.commands import complete_workflow, continue_as_new, start_timer
from conformance.updating import accept, commands_of, fail, reject, respond
from perdure.core.commit import ItemKind
from perdure.core.errors import (
    FailedPreconditionError,
    NotFoundError,
    ResourceExhaustedError,
    WorkflowNotReadyError,
)
from perdure.core.protobuf import seconds
from perdure.core.update import outcomes
from perdure.core.update.state import UpdateStatus
from perdure.core.update.transitions import WorkflowClosingError, record_admitted
from perdure.core.workflow.settings import WorkflowSettings
from unit.core.checks import Checker
from unit.core.driver import QUEUE, STICKY_QUEUE, Driver
from unit.core.updating import answer, ask, expire, sent_with, take_speculative, undo


def idle(*, sticky: bool = False, settings: WorkflowSettings | None = None) -> Driver:
    driver = Driver(settings)
    driver.start()
    assert driver.complete(driver.take_workflow_task(), sticky=sticky) == ""
    return driver


def story(driver: Driver, run_id: str = "") -> list[str]:
    events = driver.rows.history(driver.run(run_id).key.run_id)
    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in events]


BEGINNING = [
    "WORKFLOW_EXECUTION_STARTED",
    "WORKFLOW_TASK_SCHEDULED",
    "WORKFLOW_TASK_STARTED",
    "WORKFLOW_TASK_COMPLETED",
]


def test_nothing_is_written_of_a_rejected_update() -> None:
    driver = idle()
    commits = len(driver.commits)
    found = ask(driver)
    taken = take_speculative(driver)
    assert sent_with(driver) == ["u"]
    done = answer(driver, taken, [reject()])
    assert done.reset_history_event_id == 3
    assert found.update is not None
    assert found.update.status is UpdateStatus.REJECTED
    assert (len(driver.commits), story(driver)) == (commits, BEGINNING)
    assert outcomes.find(driver.run(), "u") is None
    Checker(driver).check()


def test_an_accepted_update_costs_one_commit_and_is_found_after_a_restart() -> None:
    driver = idle()
    commits = len(driver.commits)
    ask(driver)
    taken = take_speculative(driver)
    sent_with(driver)
    answer(driver, taken, [accept(), respond()], *commands_of(accept(), respond()))
    assert len(driver.commits) == commits + 1
    assert story(driver)[4:] == [
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_TASK_STARTED",
        "WORKFLOW_TASK_COMPLETED",
        "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
    ]
    driver.forget()
    found = ask(driver)
    assert (found.update, found.completed_event_id) == (None, 9)
    Checker(driver).check()


def test_an_accepted_update_is_completed_after_a_restart() -> None:
    driver = idle()
    ask(driver)
    answer(driver, take_speculative(driver), [accept()])
    driver.forget()
    assert driver.run().updates["u"].status is UpdateStatus.ACCEPTED
    driver.signal("go on")
    answer(driver, driver.take_workflow_task(), [fail()])
    assert driver.run().completed_updates == {"u": len(story(driver))}
    Checker(driver).check()


def test_a_restart_loses_what_was_not_accepted() -> None:
    driver = idle()
    ask(driver)
    taken = take_speculative(driver)
    driver.forget()
    with pytest.raises(NotFoundError):
        answer(driver, taken, [accept()])
    ask(driver)
    assert driver.run().speculative
    Checker(driver).check()


def test_another_start_of_a_lost_task_has_another_token() -> None:
    driver = idle()
    ask(driver)
    lost = take_speculative(driver)
    driver.forget()
    ask(driver)
    taken = take_speculative(driver)
    assert lost.token.scheduled_event_id == taken.token.scheduled_event_id
    with pytest.raises(NotFoundError):
        answer(driver, lost, [accept()])
    answer(driver, taken, [accept()])
    Checker(driver).check()


def test_an_event_makes_a_speculative_task_durable() -> None:
    driver = idle()
    ask(driver)
    driver.signal("before the start")
    assert story(driver)[4:] == ["WORKFLOW_TASK_SCHEDULED", "WORKFLOW_EXECUTION_SIGNALED"]
    Checker(driver).check()
    taken = driver.take_workflow_task()
    assert sent_with(driver) == ["u"]
    assert answer(driver, taken, [reject()]).reset_history_event_id == 0
    ask(driver)
    taken = take_speculative(driver)
    driver.signal("after the start")
    assert driver.run().state.buffered_event_count == 1
    assert story(driver)[-2:] == ["WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED"]
    Checker(driver).check()
    answer(driver, taken, [reject()])
    assert story(driver)[-3:] == [
        "WORKFLOW_TASK_COMPLETED",
        "WORKFLOW_EXECUTION_SIGNALED",
        "WORKFLOW_TASK_SCHEDULED",
    ]
    Checker(driver).check()


def test_a_durable_task_outlives_a_restart_and_brings_its_updates_back() -> None:
    driver = idle()
    ask(driver)
    taken = take_speculative(driver)
    request = driver.run().updates["u"].request
    driver.signal("makes it durable")
    driver.forget()
    answer(driver, taken, [accept("u", request), respond()])
    assert list(driver.run().completed_updates) == ["u"]
    Checker(driver).check()


def test_nobody_starts_a_speculative_task() -> None:
    driver = idle(sticky=True)
    ask(driver)
    assert driver.run().state.workflow_task.task_queue == STICKY_QUEUE
    expire(driver)
    assert story(driver)[4:] == [
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_TASK_TIMED_OUT",
        "WORKFLOW_TASK_SCHEDULED",
    ]
    driver.take_workflow_task(QUEUE)
    assert sent_with(driver) == ["u"]
    Checker(driver).check()


def test_nobody_completes_a_speculative_task() -> None:
    driver = idle()
    ask(driver)
    take_speculative(driver)
    expire(driver)
    assert story(driver)[4:] == [
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_TASK_STARTED",
        "WORKFLOW_TASK_TIMED_OUT",
    ]
    assert driver.run().state.workflow_task_attempt == 2
    Checker(driver).check()


def test_a_poller_that_is_gone_leaves_no_trace() -> None:
    driver = idle(sticky=True)
    commits = len(driver.commits)
    ask(driver)
    take_speculative(driver)
    undo(driver)
    assert driver.run().state.workflow_task.task_queue == QUEUE
    taken = take_speculative(driver)
    assert sent_with(driver) == ["u"]
    answer(driver, taken, [reject()])
    assert len(driver.commits) == commits
    Checker(driver).check()


def test_updates_that_come_while_a_task_runs_get_the_next_one() -> None:
    driver = idle()
    ask(driver, "first")
    taken = take_speculative(driver)
    assert sent_with(driver) == ["first"]
    ask(driver, "second")
    done = answer(driver, taken, [reject("first")], return_new_workflow_task=True)
    assert done.updates_wait
    driver.forget()
    ask(driver, "first")
    taken = take_speculative(driver)
    sent_with(driver)
    ask(driver, "second")
    answer(driver, taken, [reject("first")])
    assert story(driver)[4:] == ["WORKFLOW_TASK_SCHEDULED"]
    driver.take_workflow_task()
    assert sent_with(driver) == ["second"]
    Checker(driver).check()


def test_a_heartbeat_sends_only_what_is_new() -> None:
    driver = idle()
    ask(driver, "first")
    taken = take_speculative(driver)
    assert sent_with(driver) == ["first"]
    ask(driver, "second")
    answer(driver, taken, [], force_create_new_workflow_task=True)
    driver.take_workflow_task()
    assert sent_with(driver, resend=False) == ["second"]
    assert sent_with(driver) == ["first", "second"]
    Checker(driver).check()


def test_an_answer_that_is_given_again_brings_only_what_the_first_one_did() -> None:
    driver = idle()
    ask(driver, "first")
    taken = take_speculative(driver)
    assert sent_with(driver) == ["first"]
    ask(driver, "later")
    assert sent_with(driver, repeated=True) == ["first"]
    assert sent_with(driver, repeated=True) == ["first"]
    first = [accept("first"), respond("first")]
    answer(driver, taken, first, *commands_of(*first))
    driver.take_workflow_task()
    assert sent_with(driver) == ["later"], "what has come since is left for the next task"


def test_events_are_shown_again_only_to_workers_that_can_take_it() -> None:
    driver = Driver(WorkflowSettings(discardable_events=1))
    driver.start()
    driver.complete(driver.take_workflow_task(), start_timer("t", 60))
    can = {"capabilities": {"discard_speculative_workflow_task_with_events": True}}
    ask(driver)
    assert answer(driver, take_speculative(driver), [reject()], **can).reset_history_event_id == 3
    ask(driver)
    assert answer(driver, take_speculative(driver), [reject()]).reset_history_event_id == 0
    driver.signal("wake")
    timers = (start_timer("a", 60), start_timer("b", 60))
    driver.complete(driver.take_workflow_task(), *timers)
    ask(driver)
    assert answer(driver, take_speculative(driver), [reject()], **can).reset_history_event_id == 0
    Checker(driver).check()


def test_a_worker_that_knows_no_updates_rejects_them() -> None:
    driver = idle()
    found = ask(driver)
    taken = take_speculative(driver)
    sent_with(driver)
    answer(driver, taken, [])
    assert found.update is not None
    assert outcomes.progress(found.update, found.run).stage == outcomes.COMPLETED
    assert found.update.outcome is not None
    assert found.update.outcome.failure.application_failure_info.type == "UnprocessedUpdate"
    Checker(driver).check()


def test_a_bad_answer_fails_what_was_sent_and_keeps_what_was_not() -> None:
    driver = idle()
    sent = ask(driver, "sent")
    taken = take_speculative(driver)
    sent_with(driver)
    waiting = ask(driver, "waiting")
    assert answer(driver, taken, [respond("sent")]).problem is not None
    assert sent.update is not None
    assert isinstance(sent.update.error, WorkflowNotReadyError)
    assert waiting.update is not None
    assert waiting.update.status is UpdateStatus.ADMITTED
    driver.take_workflow_task()
    assert sent_with(driver) == ["waiting"]
    Checker(driver).check()


def test_a_run_closes_with_updates() -> None:
    driver = idle()
    accepted = ask(driver, "accepted")
    answer(driver, take_speculative(driver), [accept("accepted")])
    sent = ask(driver, "sent")
    taken = take_speculative(driver)
    sent_with(driver)
    answer(driver, taken, [], complete_workflow())
    assert accepted.update is not None
    assert accepted.update.outcome is not None
    assert "completed before" in accepted.update.outcome.failure.message
    assert sent.update is not None
    assert isinstance(sent.update.error, NotFoundError)
    driver.forget()
    found = ask(driver, "accepted")
    assert found.update is not None
    assert outcomes.progress(found.update, found.run).outcome == accepted.update.outcome
    with pytest.raises(NotFoundError):
        ask(driver, "sent")
    Checker(driver).check()


def test_updates_of_a_run_that_continues_go_to_the_next_one() -> None:
    driver = Driver()
    driver.start()
    taken = driver.take_workflow_task()
    waiting = ask(driver)
    answer(driver, taken, [], continue_as_new(QUEUE))
    assert waiting.update is not None
    assert isinstance(waiting.update.error, WorkflowClosingError)
    assert ask(driver).run.key.run_id != waiting.run.key.run_id
    Checker(driver).check()
    taken = take_speculative(driver)
    assert sent_with(driver) == ["u"]
    assert answer(driver, taken, [reject()]).reset_history_event_id == 0
    assert story(driver) == BEGINNING, "the first task of a run is written, whatever it brings"
    driver.advance(seconds(2))
    assert story(driver) == BEGINNING, "and it does not come again when its time comes"
    Checker(driver).check()


def test_limits_of_updates() -> None:
    driver = idle(settings=WorkflowSettings(max_in_flight_updates=2, max_total_updates=3))
    for update_id in ("a", "b"):
        ask(driver, update_id)
    ask(driver, "a")
    with pytest.raises(ResourceExhaustedError):
        ask(driver, "c")
    taken = take_speculative(driver)
    sent_with(driver)
    answers = [accept("a"), respond("a"), accept("b"), respond("b")]
    answer(driver, taken, answers)
    driver.forget()
    ask(driver, "c")
    taken = take_speculative(driver)
    answer(driver, taken, [accept("c"), respond("c")])
    with pytest.raises(FailedPreconditionError):
        ask(driver, "d")
    driver.signal("wake")
    driver.take_workflow_task()
    assert driver.run().state.workflow_task.suggest_continue_as_new
    Checker(driver).check()


def test_updates_may_only_be_so_large_together() -> None:
    driver = idle(settings=WorkflowSettings(max_in_flight_update_bytes=100))
    ask(driver, "a")
    with pytest.raises(ResourceExhaustedError, match="100 bytes"):
        ask(driver, "b")


def test_a_run_whose_tasks_fail_takes_no_updates() -> None:
    driver = Driver()
    driver.start()
    for _ in range(2):
        driver.fail(driver.take_workflow_task())
    with pytest.raises(WorkflowNotReadyError):
        ask(driver)
    Checker(driver).check()


def test_an_update_that_a_reset_carries_over_is_an_event() -> None:
    driver = idle()
    request = ask(idle()).run.updates["u"].request
    assert request is not None
    driver.update("", lambda _, change: record_admitted(change, request))
    driver.signal("brings about a task")
    driver.forget()
    taken = driver.take_workflow_task()
    assert sent_with(driver) == []
    answer(driver, taken, [accept(), respond()])
    accepted = driver.rows.history("run-1")[-2].workflow_execution_update_accepted_event_attributes
    assert not accepted.HasField("accepted_request")
    assert ItemKind.UPDATE in {key.kind for key in driver.rows.runs["run-1"].items}
    Checker(driver).check()


def test_a_reset_keeps_the_updates_before_it_and_admits_those_after_it_again() -> None:
    driver = idle()
    ask(driver, "before")
    answer(driver, take_speculative(driver), [accept("before"), respond("before")])
    ask(driver, "after")
    answer(driver, take_speculative(driver), [accept("after"), respond("after")])
    old = driver.run().key.run_id
    # The second task of the run is the last one before the point.
    new = driver.reset(story(driver).index("WORKFLOW_EXECUTION_UPDATE_COMPLETED") + 3, old)
    assert list(driver.run(new).completed_updates) == ["before"]
    assert list(driver.run(new).updates) == ["after"]
    assert story(driver, new).count("WORKFLOW_EXECUTION_UPDATE_ADMITTED") == 1
    driver.forget()
    taken = driver.take_workflow_task()
    assert sent_with(driver) == [], "the worker reads it in the event"
    answer(driver, taken, [accept("after"), respond("after")])
    assert set(driver.run().completed_updates) == {"before", "after"}
    Checker(driver).check()
