"""Reading histories: pages, long polls, backwards, and whose token it is."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from conformance.commands import complete_workflow
from perdure.core.errors import InvalidArgumentError, NotFoundError, UnavailableError
from perdure.history.ports import HistorySettings
from perdure.persistence.ports import StoreUnavailable
from unit.history.world import Server, World, run, settle

CLOSE_EVENT: Any = "HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT"
EVERYWHERE = [HistorySettings(), HistorySettings(tail_bytes=0)]
"""Histories in memory, and in the store but for their newest batch."""


def ids(events: Sequence[HistoryEvent]) -> list[int]:
    return [event.event_id for event in events]


async def workflow(world: World, settings: HistorySettings, signals: int) -> Server:
    """Returns a server with a workflow of two events, and one more for each signal."""
    server = await world.serve(settings)
    await server.start("a")
    for _ in range(signals):
        await server.signal("a")
    return server


async def all_pages(server: Server, **fields: Any) -> list[list[int]]:
    pages, token = [], b""
    while True:
        page = await server.read("a", next_page_token=token, **fields)
        pages.append(ids(page.history.events))
        token = page.next_page_token
        if not token:
            return pages


@pytest.mark.parametrize("settings", EVERYWHERE, ids=["memory", "store"])
def test_a_page_holds_as_many_batches_as_it_may(settings: HistorySettings) -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, settings, 5)
        assert await all_pages(server) == [[1, 2, 3, 4, 5, 6, 7]]
        # The first batch has two events; the page after the last full one is empty.
        pages = await all_pages(server, maximum_page_size=2)
        assert pages == [[1, 2, 3], [4, 5], [6, 7], []]
        assert await all_pages(server, maximum_page_size=4) == [[1, 2, 3, 4, 5], [6, 7]]

    run(scenario)


def test_a_page_is_no_larger_than_it_may_be() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(page_bytes=1, page_batches=3), 3)
        pages = await all_pages(server)
        assert [event_id for page in pages for event_id in page] == [1, 2, 3, 4, 5]
        assert [len(page) for page in pages if page] == [2, 1, 1, 1]

    run(scenario)


def test_pages_show_the_history_of_the_moment_at_which_the_first_was_read() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 2)
        first = await server.read("a", maximum_page_size=1)
        await server.signal("a", "later")
        second = await server.read("a", next_page_token=first.next_page_token)
        assert ids(second.history.events) == [3, 4]
        assert not second.next_page_token

    run(scenario)


def test_events_that_are_not_written_yet_come_last() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 0)
        await server.take()
        await asyncio.sleep(10.5)
        await server.take()
        described = await server.describe("a")
        assert described.workflow_execution_info.history_length == 4
        assert await all_pages(server) == [[1, 2, 3, 4, 5, 6]]
        # As on the real server: on the last page, or on one of their own when that is full.
        assert await all_pages(server, maximum_page_size=2) == [[1, 2, 3], [4, 5, 6]]
        assert await all_pages(server, maximum_page_size=3) == [[1, 2, 3, 4], [5, 6]]
        first = await server.read("a", maximum_page_size=1)
        await server.signal("a")
        rest = await server.read("a", next_page_token=first.next_page_token)
        assert ids(rest.history.events) == [3, 4, 5, 6]
        await server.terminate("a")
        rest = await server.read("a", next_page_token=first.next_page_token)
        assert ids(rest.history.events) == [3, 4]

    run(scenario)


@pytest.mark.parametrize("settings", EVERYWHERE, ids=["memory", "store"])
def test_a_long_poll_ends_with_a_new_event(settings: HistorySettings) -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, settings, 0)
        first = await server.read("a", wait_new_event=True)
        assert ids(first.history.events) == [1, 2]
        waiting = asyncio.create_task(
            server.read("a", wait_new_event=True, next_page_token=first.next_page_token)
        )
        await asyncio.sleep(5)
        assert not waiting.done()
        await server.signal("a")
        second = await waiting
        assert ids(second.history.events) == [3]
        assert second.next_page_token
        assert world.loop.time() == pytest.approx(5.0, abs=0.01)

    run(scenario)


def test_a_long_poll_shows_nothing_that_is_not_durable() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 0)
        first = await server.read("a", wait_new_event=True)
        waiting = asyncio.create_task(
            server.read("a", wait_new_event=True, next_page_token=first.next_page_token)
        )
        await settle()
        world.faults.open.clear()
        signalling = asyncio.create_task(server.signal("a"))
        reading = asyncio.create_task(server.read("a"))
        await asyncio.sleep(3)
        assert not waiting.done()
        assert not reading.done()
        world.faults.losses = [StoreUnavailable("away")]
        world.faults.open.set()
        with pytest.raises(UnavailableError):
            await signalling
        with pytest.raises(UnavailableError):
            await reading
        await server.signal("a", "durable")
        (event,) = (await waiting).history.events
        attributes = event.workflow_execution_signaled_event_attributes
        assert (event.event_id, attributes.signal_name) == (3, "durable")

    run(scenario)


def test_a_long_poll_in_vain_ends_with_its_time_and_goes_on_where_it_was() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 0)
        first = await server.read("a", wait_new_event=True)
        token = first.next_page_token
        for count in (1, 2):
            page = await server.read("a", seconds=3.0, wait_new_event=True, next_page_token=token)
            assert ids(page.history.events) == []
            assert world.loop.time() == pytest.approx(3.0 * count, abs=0.01)
            token = page.next_page_token
        await server.signal("a")
        page = await server.read("a", wait_new_event=True, next_page_token=token)
        assert ids(page.history.events) == [3]

    run(scenario)


def test_a_long_poll_ends_with_the_run() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 0)
        first = await server.read("a", wait_new_event=True)
        waiting = asyncio.create_task(
            server.read("a", wait_new_event=True, next_page_token=first.next_page_token)
        )
        await settle()
        await server.terminate("a")
        page = await waiting
        closed = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
        assert [event.event_type for event in page.history.events] == [closed]
        assert not page.next_page_token

    run(scenario)


def test_the_close_event_is_waited_for_alone() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 0)
        fields: dict[str, Any] = {"history_event_filter_type": CLOSE_EVENT, "wait_new_event": True}
        vain = await server.read("a", seconds=3.0, **fields)
        assert ids(vain.history.events) == []
        waiting = asyncio.create_task(
            server.read("a", next_page_token=vain.next_page_token, **fields)
        )
        await settle()
        await server.signal("a")
        await settle()
        assert not waiting.done()
        await server.complete(await server.take(), complete_workflow())
        page = await waiting
        (event,) = page.history.events
        assert event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
        assert not page.next_page_token
        again = await server.read("a", **fields)
        assert again.history == page.history

    run(scenario)


def test_without_a_token_the_close_event_of_an_open_run_is_not_there() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 0)
        page = await server.read("a", seconds=3.0, history_event_filter_type=CLOSE_EVENT)
        assert not page.history.events
        assert not page.next_page_token

    run(scenario)


@pytest.mark.parametrize("settings", EVERYWHERE, ids=["memory", "store"])
def test_backwards(settings: HistorySettings) -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, settings, 4)
        whole = await server.read_reverse("a")
        assert ids(whole.history.events) == [6, 5, 4, 3, 2, 1]
        assert not whole.next_page_token
        page = await server.read_reverse("a", maximum_page_size=2)
        assert ids(page.history.events) == [6, 5]
        # What is written later is not shown: the pages go on from where they were.
        await server.signal("a")
        seen = []
        while page.next_page_token:
            token = page.next_page_token
            page = await server.read_reverse("a", maximum_page_size=2, next_page_token=token)
            seen.append(ids(page.history.events))
        assert seen == [[4, 3], [2, 1]]

    run(scenario)


def test_backwards_a_page_is_no_larger_than_it_may_be() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(page_bytes=1), 2)
        page = await server.read_reverse("a")
        assert ids(page.history.events) == [4]
        assert page.next_page_token

    run(scenario)


def test_a_token_stays_with_its_run() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 2)
        forward = await server.read("a", maximum_page_size=1)
        backward = await server.read_reverse("a", maximum_page_size=1)
        await server.terminate("a")
        second_run = await server.start("a")
        rest = await server.read("a", next_page_token=forward.next_page_token)
        assert ids(rest.history.events) == [3, 4]
        newest = await server.read_reverse("a", next_page_token=backward.next_page_token)
        assert ids(newest.history.events) == [3, 2, 1]
        current = await server.read("a")
        started = current.history.events[0].workflow_execution_started_event_attributes
        assert started.original_execution_run_id == second_run

    run(scenario)


def test_a_token_of_another_workflow_is_that_of_no_run() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 2)
        await server.start("b")
        page = await server.read("a", maximum_page_size=1)
        with pytest.raises(NotFoundError):
            await server.read("b", next_page_token=page.next_page_token)
        with pytest.raises(NotFoundError):
            await server.read_reverse("b", next_page_token=page.next_page_token)

    run(scenario)


@pytest.mark.parametrize("token", [b"nonsense", b"\x10\x05"], ids=["nonsense", "no run"])
def test_other_tokens_are_refused(token: bytes) -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(), 0)
        for read in (server.read, server.read_reverse):
            with pytest.raises(InvalidArgumentError, match="Invalid NextPageToken"):
                await read("a", next_page_token=token)

    run(scenario)


def test_a_store_that_is_away_is_no_missing_history() -> None:
    async def scenario(world: World) -> None:
        server = await workflow(world, HistorySettings(tail_bytes=0), 2)
        world.faults.away = StoreUnavailable("away")
        with pytest.raises(UnavailableError):
            await server.read("a")

    run(scenario)
