"""Gauges that are read when a scrape asks: from another thread, on the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

SCRAPE_WAITS_SECONDS = 1.0
"""A blocked event loop must not keep its metrics from being seen: they are then a little old."""


def on_loop(loop: asyncio.AbstractEventLoop, sample: Callable[[], None]) -> Callable[[], None]:
    """Returns a function for other threads that has the loop run `sample`, and waits for it."""

    def run(done: Future[None]) -> None:
        sample()
        done.set_result(None)

    def from_thread() -> None:
        done: Future[None] = Future()
        loop.call_soon_threadsafe(run, done)
        with suppress(TimeoutError):
            done.result(SCRAPE_WAITS_SECONDS)

    return from_thread
