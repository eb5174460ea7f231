"""Runs a server in this process: the event loop, signals, and whoever started it."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import uvloop

from perdure.app.parent import Parent
from perdure.telemetry.logging import get_logger

Server = Callable[[asyncio.Event, Parent], Awaitable[None]]
"""Tells the parent when it serves; stops gracefully once the event is set."""

STOP_MARGIN_SECONDS = 5.0
"""How much longer than its drain a process may take to end: connections and store are closed."""
_ORPHANED = 1


def run(server: Server, *, drain_seconds: float = 0.0) -> None:
    """Serves until SIGTERM or SIGINT; a second signal ends the process at once.

    Under a supervisor a second signal changes nothing, since systemd may send one to every process
    and the supervisor its own. SIGHUP is ignored there: the supervisor passes it on to all.

    Args:
        server: What to run.
        drain_seconds: How long the server may take to stop when its supervisor is dead.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_signalled(server, Parent(), drain_seconds))


async def _until_signalled(server: Server, parent: Parent, drain_seconds: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set() and not parent.supervises:
            os._exit(128 + number)
        stop.set()

    def on_orphaned() -> None:
        get_logger("server").warning("the supervisor is gone: stopping")
        stop.set()
        loop.call_later(drain_seconds + STOP_MARGIN_SECONDS, os._exit, _ORPHANED)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    if parent.supervises:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent.watch(on_orphaned)
    await server(stop, parent)
