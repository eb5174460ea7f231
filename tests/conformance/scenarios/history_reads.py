"""Reading histories: pages, reverse, long polls, close events, and what is refused."""

import asyncio
from typing import Any

from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow, continue_as_new, record_marker, start_timer
from conformance.driver import Driver, event_type
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_CLOSE = {"history_event_filter_type": "HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT"}


async def _reverse(driver: Driver, **fields: Any) -> wf.GetWorkflowExecutionHistoryReverseResponse:
    request = build(
        wf.GetWorkflowExecutionHistoryReverseRequest,
        namespace=NAMESPACE,
        execution=driver.execution(),
        **fields,
    )
    return await call(driver.env, request, wf.GetWorkflowExecutionHistoryReverseResponse)


@scenario
async def history_pages(env: ScenarioEnv) -> Recording:
    """Small pages, each with a token for the next; how pages are cut."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(*(record_marker(f"m{number}") for number in range(5)))
    await driver.signal("wake")
    await driver.step(complete_workflow())
    for size in (1, 2, 3, 100):
        pages: list[list[int]] = []
        token = b""
        while not pages or token:
            page = await driver.history_page(maximum_page_size=size, next_page_token=token)
            pages.append([event.event_id for event in page.history.events])
            token = page.next_page_token
        record.note(f"pages of {size}", pages)
    return record


@scenario
async def history_reverse(env: ScenarioEnv) -> Recording:
    """The history from its end, in pages."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(*(record_marker(f"m{number}") for number in range(5)))
    await driver.signal("wake")
    await driver.poll()
    for size in (1, 2, 100):
        pages: list[list[str]] = []
        token = b""
        while not pages or token:
            page = await _reverse(driver, maximum_page_size=size, next_page_token=token)
            pages.append([f"{e.event_id} {event_type(e)}" for e in page.history.events])
            token = page.next_page_token
        record.note(f"pages of {size}", pages)
    await driver.terminate()
    return record


@scenario
async def history_long_poll(env: ScenarioEnv) -> Recording:
    """wait_new_event: first what there is, then each new event when it comes."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    first = await driver.history_page(wait_new_event=True)
    record.note("first", first)
    waiting = asyncio.create_task(
        driver.history_page(wait_new_event=True, next_page_token=first.next_page_token)
    )
    await driver.round_trips()
    await driver.signal("one")
    second = await waiting
    record.note("second", second)
    waiting = asyncio.create_task(
        driver.history_page(wait_new_event=True, next_page_token=second.next_page_token)
    )
    await driver.round_trips()
    await driver.terminate()
    record.note("third", await waiting)
    record.note("closed from the start", await driver.history_page(wait_new_event=True))
    return record


@scenario
async def history_close_event(env: ScenarioEnv) -> Recording:
    """The close event only: an open run is waited for, asked or not; so is each run of a chain."""
    record, driver = env.recording(), Driver(env)
    started = await driver.start()
    asked = asyncio.create_task(driver.history_page(wait_new_event=True, **_CLOSE))
    not_asked = asyncio.create_task(driver.history_page(**_CLOSE))
    await driver.round_trips()
    await driver.step(continue_as_new(driver.queue))
    record.note("continued", await asked)
    record.note("continued, without asking to wait", await not_asked)
    record.note("first run, at once", await driver.history_page(started.run_id, **_CLOSE))
    waiting = asyncio.create_task(driver.history_page(**_CLOSE))
    await driver.step(complete_workflow())
    record.note("second run", await waiting)
    record.note("closed", await driver.history_page(**_CLOSE))
    record.note("closed, waiting", await driver.history_page(wait_new_event=True, **_CLOSE))
    return record


@scenario
async def history_refused(env: ScenarioEnv) -> Recording:
    """Missing workflows and runs, bad tokens, tokens of another workflow."""
    record, driver = env.recording(), Driver(env)
    await record.call("missing", driver.history_page())
    await record.call("missing, reverse", _reverse(driver))
    started = await driver.start()
    elsewhere = "01234567-89ab-7def-8123-456789abcdef"
    await record.call("missing run", driver.history_page(elsewhere))
    await record.call("bad run id", driver.history_page("nonsense"))
    await record.call("bad token", driver.history_page(next_page_token=b"nonsense"))
    await record.call("bad token, reverse", _reverse(driver, next_page_token=b"nonsense"))
    await record.call("negative size", driver.history_page(maximum_page_size=-1))
    await driver.step(start_timer("t", 60))
    page = await driver.history_page(maximum_page_size=2)
    other = Driver(env, workflow="other")
    await other.start()
    token: dict[str, Any] = {"next_page_token": page.next_page_token}
    await record.call("token of another", other.history_page(maximum_page_size=2, **token))
    await record.call(
        "right token with run id", driver.history_page(started.run_id, maximum_page_size=2, **token)
    )
    await driver.terminate()
    await other.terminate()
    return record
