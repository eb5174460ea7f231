"""Whatever clients, workers and time do, in whatever order, what `checks` says holds."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure

from perdure.core.activity.state import ActivityStatus, status
from perdure.core.commit import TaskType
from perdure.core.errors import InvalidArgumentError, NotFoundError, ServiceError
from perdure.core.protobuf import seconds
from perdure.core.workflow.settings import WorkflowSettings
from perdure.core.workflow_task.state import is_started
from perdure.proto import stored_pb2 as stored
from unit.core import recipes
from unit.core.checks import Checker
from unit.core.driver import STICKY_QUEUE, Driver, Taken, message_to, result_of

SETTINGS = WorkflowSettings(
    max_buffered_events=4,
    max_pending_activities=3,
    max_pending_children=3,
    max_pending_signals=3,
    max_pending_cancels=3,
    max_signals=12,
    critical_workflow_task_attempt=3,
    workflow_task_heartbeat_timeout=seconds(25),
    max_workflow_task_backoff=seconds(30),
    suggest_continue_as_new_events=40,
    max_auto_reset_points=2,
    activity_failure_limit=200,
)
"""Limits that are reached within a few steps."""

MOST_RUNS = 8
"""Resets copy histories: more runs than this, and each step takes long."""
REMEMBERED = 4
"""How many tokens a worker keeps, most of them stale."""


class CoreMachine(RuleBasedStateMachine):
    """Plays clients, workers and the clock against one workflow id."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(SETTINGS)
        self.checker = Checker(self.driver)
        self.workflow_tasks: list[Taken] = []
        self.activities: list[Taken] = []
        self.answers: dict[str, stored.Receipt] = {}

    def hold(self, *taken: Taken) -> None:
        for one in taken:
            workflow = one.task.key.queue.task_type is TaskType.WORKFLOW
            held = self.workflow_tasks if workflow else self.activities
            held.append(one)
            del held[:-REMEMBERED]

    @invariant()
    def everything_holds(self) -> None:
        self.hold(*self.driver.fused)
        self.driver.fused.clear()
        self.checker.check()

    # Operators

    @rule(count=st.sampled_from([1, 2, 4]))
    def divide_queues(self, count: int) -> None:
        """Changes how many partitions queues have, while there are tasks in them."""
        self.driver.settings = replace(SETTINGS, write_partitions=count)

    # Clients

    @initialize(fields=recipes.starts())
    def start_first(self, fields: dict[str, object]) -> None:
        self.driver.start(**fields)

    @rule(fields=recipes.starts(), with_signal=st.booleans())
    def start(self, fields: dict[str, object], with_signal: bool) -> None:
        with suppress(ServiceError):
            if with_signal:
                self.driver.signal_with_start(**fields)
            else:
                self.driver.start(**fields)

    @precondition(lambda self: not self.driver.run().is_running)
    @rule(number=st.integers(10, 99))
    def start_again(self, number: int) -> None:
        self.driver.start(request_id=f"again-{number}")

    @rule(request_id=recipes.REQUEST_IDS, data=st.data())
    def signal(self, request_id: str, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(["", "", "", *self.driver.rows.runs]))
        run = self.driver.run(run_id)
        is_new = not request_id or request_id not in run.signal_requests
        full = is_new and run.state.signal_count >= SETTINGS.max_signals
        if not run.is_running and is_new:
            with pytest.raises(NotFoundError):
                self.driver.signal("signal", request_id, run_id)
        elif full:
            with pytest.raises(InvalidArgumentError):
                self.driver.signal("signal", request_id, run_id)
        else:
            before = run.state.signal_count
            self.driver.signal("signal", request_id, run_id)
            assert run.state.signal_count == before + is_new

    @rule(data=st.data())
    def reset(self, data: st.DataObject) -> None:
        base = data.draw(st.sampled_from(sorted(self.driver.rows.runs)))
        scheduled = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
        history = self.driver.rows.history(base)
        points = [event.event_id + 1 for event in history[:-1] if event.event_type == scheduled]
        if points and len(self.driver.rows.runs) < MOST_RUNS:
            reapply = data.draw(st.sampled_from(["UNSPECIFIED", "NONE", "SIGNAL"]))
            self.driver.reset(
                data.draw(st.sampled_from(points)),
                base,
                reset_reapply_type=f"RESET_REAPPLY_TYPE_{reapply}",
            )

    @rule()
    def request_cancel(self) -> None:
        self.driver.request_cancel()

    @rule(sure=recipes.seldom())
    def terminate(self, sure: bool) -> None:
        if not self.driver.run().is_running:
            with pytest.raises(NotFoundError):
                self.driver.terminate()
        elif sure:
            self.driver.terminate()
            assert not self.driver.run().is_running

    # Other workflows

    @precondition(lambda self: self.driver.rows.messages)
    @rule(data=st.data(), taken=st.booleans())
    def answer_message(self, data: st.DataObject, taken: bool) -> None:
        row = data.draw(st.sampled_from(self.driver.outbox))
        outcome = stored.Receipt.OUTCOME_TAKEN if taken else stored.Receipt.OUTCOME_NOT_FOUND
        self.driver.answer(row, outcome)
        assert row.key not in self.driver.rows.messages

    @precondition(lambda self: self.driver.run().children)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["COMPLETED", "FAILED", "CANCELED", "TIMED_OUT", "TERMINATED"]),
    )
    def child_ends(self, data: st.DataObject, kind: str) -> None:
        run = self.driver.run()
        info = data.draw(st.sampled_from(list(run.children.values())))
        message = result_of(run, info, kind)
        assert self.driver.receive(message).outcome == stored.Receipt.OUTCOME_TAKEN
        assert info.initiated_event_id not in run.children
        assert self.driver.receive(message).outcome == stored.Receipt.OUTCOME_NOT_FOUND

    @rule(number=st.integers(1, 8), cancel=st.booleans(), child=recipes.seldom())
    def take_message_in(self, number: int, cancel: bool, child: bool) -> None:
        kind = "cancel" if cancel else "signal"
        message = message_to(id=f"{kind}-{number}", cancel=cancel, child_workflow_only=child)
        before = self.answers.get(message.id)
        receipt = self.driver.receive(message)
        assert before in (None, receipt)
        self.answers[message.id] = receipt

    # Workflow workers

    @precondition(lambda self: self.driver.pending(TaskType.WORKFLOW))
    @rule()
    def take_workflow_task(self) -> None:
        self.hold(self.driver.take_workflow_task())

    @precondition(lambda self: self.workflow_tasks)
    @rule(data=st.data(), force=st.booleans(), inline=st.booleans())
    def complete(self, data: st.DataObject, force: bool, inline: bool) -> None:
        self.respond(self.a_workflow_task(data), data, force, inline)

    @precondition(lambda self: self.driver.pending(TaskType.WORKFLOW))
    @rule(data=st.data(), inline=st.booleans())
    def take_and_complete(self, data: st.DataObject, inline: bool) -> None:
        taken = self.driver.take_workflow_task()
        self.hold(taken)
        self.respond(taken, data, False, inline)

    @precondition(lambda self: self.driver.pending(TaskType.WORKFLOW))
    @rule(data=st.data())
    def take_signal_and_complete(self, data: st.DataObject) -> None:
        taken = self.driver.take_workflow_task()
        self.hold(taken)
        with suppress(InvalidArgumentError):
            self.driver.signal("meanwhile")
        self.respond(taken, data, False, False)

    def respond(self, taken: Taken, data: st.DataObject, force: bool, inline: bool) -> None:
        run = self.driver.run(taken.token.run_id)
        known = recipes.Known(run.state.next_event_id, run.activity_ids, list(run.timers))
        batch = data.draw(recipes.batches(known))
        valid = self.is_being_run(taken)
        try:
            answer = self.driver.respond(
                taken,
                batch,
                sticky=data.draw(st.booleans()),
                force_create_new_workflow_task=force,
                return_new_workflow_task=inline,
            )
        except NotFoundError:
            assert not valid
        except InvalidArgumentError as error:
            assert valid
            if not error.message.startswith("invalid command sequence"):
                raise
        else:
            assert valid
            self.hold(*answer.eager, *([answer.task] if answer.task else []))

    @precondition(lambda self: self.workflow_tasks)
    @rule(data=st.data(), heartbeats=st.integers(1, 4))
    def heartbeat_workflow_task(self, data: st.DataObject, heartbeats: int) -> None:
        taken: Taken | None = self.a_workflow_task(data)
        for _ in range(heartbeats):
            if taken is None or not self.is_being_run(taken):
                return
            self.driver.advance(seconds(8))
            with suppress(NotFoundError):
                answer = self.driver.respond(
                    taken,
                    [],
                    sticky=True,
                    force_create_new_workflow_task=True,
                    return_new_workflow_task=True,
                )
                taken = answer.task
        if taken is not None:
            self.hold(taken)

    @precondition(lambda self: self.workflow_tasks)
    @rule(data=st.data(), failure=st.none() | recipes.failures())
    def fail_workflow_task(self, data: st.DataObject, failure: Failure | None) -> None:
        taken = self.a_workflow_task(data)
        if self.is_being_run(taken):
            self.driver.fail(taken, failure)
        else:
            with pytest.raises(NotFoundError):
                self.driver.fail(taken, failure)

    @precondition(lambda self: self.workflow_tasks or self.activities)
    @rule(data=st.data())
    def poller_was_gone(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from([*self.workflow_tasks, *self.activities]))
        self.driver.undo_start(held)

    def a_workflow_task(self, data: st.DataObject) -> Taken:
        newest = self.workflow_tasks[-1]
        return data.draw(st.sampled_from([newest, newest, newest, *self.workflow_tasks]))

    def is_being_run(self, taken: Taken) -> bool:
        run = self.driver.run(taken.token.run_id)
        return (
            run.is_running
            and is_started(run.state)
            and run.state.workflow_task.nonce == taken.token.nonce
        )

    # Activity workers

    @precondition(lambda self: self.driver.pending(TaskType.ACTIVITY))
    @rule()
    def take_activity(self) -> None:
        self.hold(self.driver.take_activity())

    @precondition(lambda self: self.activities or self.driver.run().activities)
    @rule(
        data=st.data(),
        how=st.sampled_from(["complete", "fail", "fail", "cancel", "heartbeat", "heartbeat"]),
        failure=recipes.failures(),
        details=recipes.details(),
    )
    def answer_activity(
        self, data: st.DataObject, how: str, failure: Failure, details: Payloads | None
    ) -> None:
        target = self.an_activity(data)
        pending = self.is_pending(target)
        try:
            if how == "complete":
                self.driver.complete_activity(target, details)
            elif how == "fail":
                self.driver.fail_activity(target, failure)
            elif how == "cancel":
                self.driver.cancel_activity(target)
            else:
                self.driver.heartbeat(target, details)
        except NotFoundError:
            assert not pending or (how == "heartbeat" and isinstance(target, str))
        except InvalidArgumentError:
            assert how == "cancel"
        else:
            assert pending

    def an_activity(self, data: st.DataObject) -> Taken | str:
        newest = self.activities[-1:]
        ids = sorted(self.driver.run().activity_ids)
        targets: list[Taken | str] = [*newest, *newest, *newest, *self.activities, *ids]
        return data.draw(st.sampled_from(targets))

    def is_pending(self, target: Taken | str) -> bool:
        if isinstance(target, str):
            return target in self.driver.run().activity_ids
        run = self.driver.run(target.token.run_id)
        info = run.activities.get(target.token.scheduled_event_id)
        return (
            info is not None
            and status(info) is ActivityStatus.STARTED
            and info.nonce == target.token.nonce
        )

    # Time, and everything else

    @rule(duration=st.sampled_from([0.1, 0.1, 1, 1, 2, 2, 4, 10, 70]))
    def advance(self, duration: float) -> None:
        self.driver.advance(seconds(duration))

    @precondition(lambda self: self.driver.rows.timers)
    @rule()
    def advance_to_the_next_timer(self) -> None:
        due = min(row.due for row in self.driver.rows.timers)
        self.driver.advance(max(due - self.driver.now, 0))

    @rule(
        what=st.sampled_from(["restart", "be down", "clock", "sticky", "pollers"]),
        polls=st.booleans(),
        types=st.sets(st.sampled_from(TaskType)),
    )
    def the_world_changes(self, what: str, polls: bool, types: set[TaskType]) -> None:
        match what:
            case "restart":
                self.driver.forget()
            case "be down":
                self.driver.skip(seconds(15))
                self.driver.forget()
            case "clock":
                self.driver.now -= seconds(3)
            case "sticky":
                self.driver.sticky_pollers = {STICKY_QUEUE} if polls else set()
            case "pollers":
                self.driver.fuse(*types)


CoreMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
TestCoreMachine = CoreMachine.TestCase
