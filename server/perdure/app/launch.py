"""Runs a server in this process: the event loop and signals."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import uvloop

Server = Callable[[asyncio.Event], Awaitable[None]]
"""Serves until the event is set, then stops gracefully."""


def run(server: Server) -> None:
    """Serves until SIGTERM or SIGINT; a second signal ends the process at once."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_signalled(server))


async def _until_signalled(server: Server) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await server(stop)
