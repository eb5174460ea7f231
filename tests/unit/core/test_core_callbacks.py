"""Callbacks on completion: a chain of runs keeps them all, up to a limit."""

from dataclasses import replace
from typing import Any

import pytest

from conformance.commands import continue_as_new
from perdure.core.errors import FailedPreconditionError
from perdure.core.workflow.callbacks import callbacks_of
from perdure.core.workflow.settings import WorkflowSettings
from unit.core.checks import Checker
from unit.core.driver import QUEUE, Driver


def nexus(host: str) -> dict[str, Any]:
    return {"nexus": {"url": f"https://{host}/"}}


def attach(driver: Driver, request_id: str, *hosts: str) -> None:
    driver.start(
        request_id=request_id,
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING",
        on_conflict_options={"attach_request_id": True, "attach_completion_callbacks": True},
        completion_callbacks=[nexus(host) for host in hosts],
    )


def urls(driver: Driver) -> list[str]:
    return [each.callback.nexus.url for each in callbacks_of(driver.run())]


def test_callbacks_are_kept_in_the_order_in_which_they_came() -> None:
    driver = Driver()
    driver.start(completion_callbacks=[nexus("z")])
    first = driver.now
    driver.advance(5)
    attach(driver, "r", "b", "a")
    driver.forget()
    assert urls(driver) == ["https://z/", "https://b/", "https://a/"]
    assert [each.time for each in callbacks_of(driver.run())] == [first, driver.now, driver.now]
    Checker(driver).check()


def test_a_request_that_comes_again_attaches_nothing() -> None:
    driver = Driver()
    driver.start()
    attach(driver, "r", "a")
    attach(driver, "r", "a")
    assert urls(driver) == ["https://a/"]


def test_callbacks_attached_while_a_task_is_started_are_there_at_once() -> None:
    driver = Driver()
    driver.start()
    taken = driver.take_workflow_task()
    attach(driver, "r", "a")
    assert urls(driver) == ["https://a/"]
    assert driver.complete(taken) == ""
    assert urls(driver) == ["https://a/"]
    Checker(driver).check()


def test_the_next_run_has_them_all() -> None:
    driver = Driver()
    driver.start(completion_callbacks=[nexus("a")])
    attach(driver, "r", "b")
    assert driver.complete(driver.take_workflow_task(), continue_as_new(QUEUE)) == ""
    assert list(driver.run().start.completion_callbacks) == [
        each.callback for each in callbacks_of(driver.run())
    ]
    assert urls(driver) == ["https://a/", "https://b/"]


def test_a_run_may_have_so_many_and_no_more() -> None:
    driver = Driver(replace(WorkflowSettings(), max_callbacks=2))
    driver.start(completion_callbacks=[nexus("a")])
    attach(driver, "r", "b")
    before = driver.run().state.next_event_id
    with pytest.raises(FailedPreconditionError, match=r"more than 2 callbacks .*\(2 callbacks"):
        attach(driver, "s", "c")
    assert driver.run().state.next_event_id == before
    attach(driver, "t")
    assert len(urls(driver)) == 2
