"""What passes between workflows: what may be sent, what is taken in, how long that is known."""

from dataclasses import replace
from typing import Any

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent

from conformance.commands import cancel_external, complete_workflow, signal_external
from conformance.driver import payloads
from perdure.core.errors import NamespaceNotFoundError, UnimplementedError
from perdure.core.external.receiving import LEAST_KEPT, Outcome
from perdure.core.protobuf import seconds
from perdure.core.workflow.settings import WorkflowSettings
from perdure.proto import stored_pb2 as stored
from unit.core.driver import NAMESPACES, WORKFLOW_ID, Driver, message_to

TAKEN, NOT_FOUND = stored.Receipt.OUTCOME_TAKEN, stored.Receipt.OUTCOME_NOT_FOUND
TARGET = WorkflowExecution(workflow_id="target")
ABROAD = WorkflowSettings(cross_namespace_commands=True)


def started(settings: WorkflowSettings | None = None) -> Driver:
    driver = Driver(settings)
    driver.start()
    return driver


def send(driver: Driver, *batch: Command) -> str:
    return driver.complete(driver.take_workflow_task(), *batch)


def messages(driver: Driver) -> list[stored.Message]:
    return [stored.Message.FromString(row.data) for row in driver.outbox]


def events(driver: Driver, field: str) -> list[HistoryEvent]:
    history = driver.rows.history(driver.rows.current_run_id)
    return [event for event in history if event.HasField(field)]  # type: ignore[arg-type]


def take_in(driver: Driver, **fields: Any) -> Outcome.ValueType:
    return driver.receive(message_to(**fields)).outcome


# Sending


def test_a_message_says_all_that_the_command_says() -> None:
    driver = started()
    target = WorkflowExecution(workflow_id="target", run_id="00000000-0000-4000-8000-000000000000")
    fields: dict[str, Any] = {"control": "c", "child_workflow_only": True}
    send(
        driver,
        signal_external(
            target, input=payloads("in"), header={"fields": {"h": payloads("h").payloads[0]}}
        ),
        cancel_external(target, reason="enough", **fields),
    )
    signal, cancel = messages(driver)
    assert signal.signal.name == "signal"
    assert signal.signal.input == payloads("in")
    assert signal.signal.header.fields["h"] == payloads("h").payloads[0]
    assert not signal.child_workflow_only
    assert cancel.cancel_request.reason == "enough"
    assert cancel.child_workflow_only
    for message, event_id in ((signal, 5), (cancel, 6)):
        assert message.target == target
        assert message.namespace_id == message.sender_namespace_id == driver.rows.namespace_id
        assert message.sender == driver.run().execution()
        assert message.initiated_event_id == event_id


def test_messages_of_one_task_are_due_in_the_order_of_their_commands() -> None:
    driver = started()
    send(driver, *(signal_external(TARGET, name=f"s{number}") for number in range(5)))
    assert [message.signal.name for message in messages(driver)] == ["s0", "s1", "s2", "s3", "s4"]
    assert len({row.key.due for row in driver.outbox}) == 5


def test_another_namespace_where_that_is_allowed() -> None:
    driver = started(ABROAD)
    send(driver, signal_external(TARGET, namespace="other"))
    [message] = messages(driver)
    assert message.namespace_id == NAMESPACES["other"]
    assert message.sender_namespace_id == NAMESPACES["default"]
    driver.answer(driver.outbox[0], TAKEN)
    field = "external_workflow_execution_signaled_event_attributes"
    [event] = events(driver, field)
    told = event.external_workflow_execution_signaled_event_attributes
    assert (told.namespace, told.namespace_id) == ("other", NAMESPACES["other"])


@pytest.mark.parametrize("settings", [WorkflowSettings(), ABROAD], ids=["not allowed", "allowed"])
@pytest.mark.parametrize("build", [signal_external, cancel_external])
def test_an_unknown_namespace_changes_nothing(build: Any, settings: WorkflowSettings) -> None:
    driver = started(settings)
    taken = driver.take_workflow_task()
    with pytest.raises(NamespaceNotFoundError):
        driver.complete(taken, build(TARGET, namespace="nowhere"))
    assert driver.complete(taken, complete_workflow()) == ""


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (signal_external, "PendingSignalsLimitExceeded: the number of pending signals to"),
        (cancel_external, "PendingRequestCancelLimitExceeded: the number of pending requests to"),
    ],
)
def test_only_so_many_may_be_under_way(build: Any, what: str) -> None:
    driver = started(WorkflowSettings(max_pending_signals=2, max_pending_cancels=2))
    assert send(driver, build(TARGET)) == ""
    driver.signal("wake")
    problem = send(driver, build(TARGET), build(TARGET))
    assert problem.startswith(what)
    assert "external workflows, 2, has reached the per-workflow limit of 2" in problem
    driver.answer(driver.outbox[0], TAKEN)
    assert send(driver, build(TARGET), build(TARGET)) == ""
    assert len(driver.outbox) == 2


def test_an_outcome_that_nobody_waits_for_deletes_its_row_only() -> None:
    driver = started()
    send(driver, signal_external(TARGET))
    [row] = driver.outbox
    driver.terminate()
    assert driver.outbox == []
    # The queue had read the row before; the store still has it, as after a lost commit.
    driver.rows.messages[row.key] = row
    before = len(driver.rows.history(driver.rows.current_run_id))
    driver.answer(row, TAKEN)
    assert driver.outbox == []
    assert len(driver.rows.history(driver.rows.current_run_id)) == before


def test_an_outcome_is_of_the_very_message() -> None:
    driver = started()
    send(driver, signal_external(TARGET))
    [row] = driver.outbox
    other = replace(row, key=row.key._replace(id="another"))
    message = stored.Message.FromString(row.data)
    message.id = "another"
    other = replace(other, data=message.SerializeToString())
    driver.rows.messages[other.key] = other
    driver.answer(other, TAKEN)
    assert driver.outbox == [row]
    assert driver.run().external_signals


def test_a_refusal_of_a_later_release_is_taken_for_not_found() -> None:
    driver = started()
    send(driver, signal_external(TARGET), cancel_external(TARGET))
    for row in driver.outbox:
        driver.answer(row, 99)  # type: ignore[arg-type]
    [signal] = events(driver, "signal_external_workflow_execution_failed_event_attributes")
    assert signal.signal_external_workflow_execution_failed_event_attributes.cause == 1
    field = "request_cancel_external_workflow_execution_failed_event_attributes"
    [cancel] = events(driver, field)
    assert cancel.request_cancel_external_workflow_execution_failed_event_attributes.cause == 1


# Taking in


def test_a_message_to_its_own_sender_is_refused() -> None:
    driver = started()
    sender = WorkflowExecution(workflow_id=WORKFLOW_ID, run_id="any")
    for number, cancel in enumerate((False, True)):
        message = message_to(id=str(number), cancel=cancel)
        message.sender.CopyFrom(sender)
        assert driver.receive(message).outcome == NOT_FOUND
        message.id += " from abroad"
        message.sender_namespace_id = "other"
        assert driver.receive(message).outcome == TAKEN


def test_a_child_takes_in_what_is_for_children_only() -> None:
    driver = started()
    start = driver.run().start
    start.parent.CopyFrom(message_to().sender)
    assert take_in(driver, id="1", child_workflow_only=True) == TAKEN
    start.parent.run_id = "an earlier run"
    assert take_in(driver, id="2", child_workflow_only=True) == NOT_FOUND
    assert take_in(driver, id="3") == TAKEN


def test_a_run_takes_so_many_signals_and_any_cancel_request() -> None:
    driver = started(WorkflowSettings(max_signals=1))
    assert take_in(driver, id="1") == TAKEN
    assert take_in(driver, id="2") == stored.Receipt.OUTCOME_SIGNAL_LIMIT
    assert take_in(driver, id="1") == TAKEN
    assert take_in(driver, id="3", cancel=True) == TAKEN
    assert driver.run().state.signal_count == 1


def test_the_second_cancel_request_changes_nothing_and_is_answered_alike() -> None:
    driver = started()
    assert take_in(driver, id="1", cancel=True) == TAKEN
    length = driver.run().state.next_event_id
    assert take_in(driver, id="2", cancel=True) == TAKEN
    assert driver.run().state.next_event_id == length
    assert len(driver.rows.receipts) == 2


def test_receipts_are_kept_for_a_week_or_as_long_as_closed_runs() -> None:
    for retention, kept in ((seconds(3600), LEAST_KEPT), (2 * LEAST_KEPT, 2 * LEAST_KEPT)):
        driver = started()
        driver.retention = retention
        take_in(driver)
        [receipt] = driver.rows.receipts.values()
        assert receipt.expiry == driver.now + kept


def test_what_a_later_release_says_is_left_for_it() -> None:
    driver = started()
    message = message_to()
    message.ClearField("payload")
    with pytest.raises(UnimplementedError):
        driver.receive(message)
    assert not driver.rows.receipts
