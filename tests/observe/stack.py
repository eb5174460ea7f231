"""What is started, in which order, and what is told of it."""

import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from observe import demo_worker, monitoring
from observe.children import Child, Children
from perdure.app.announce import announce


async def observe(server: Sequence[str], folder: Path) -> None:
    """Runs a server, a worker with a load, Alertmanager and Prometheus until it is cancelled.

    They stop in the opposite order, so that none of them sees another one fail.

    Args:
        server: The command that runs the server; it prints where things are.
        folder: Where everything but the server's database goes.

    Raises:
        ChildError: One of them ended, or did not start.
    """
    worker_port, alertmanager_port, prometheus_port = _free_ports(3)
    async with Children(folder) as children:
        started = await children.start(
            "The server", server, until=lambda child: bool(_places(child))
        )
        places = _places(started)
        worker_metrics = f"127.0.0.1:{worker_port}"
        await children.start(
            "The demo worker",
            [sys.executable, "-m", demo_worker.__name__, places["gRPC"], worker_metrics],
            until=lambda child: demo_worker.READY in child.out_path.read_text("utf-8"),
        )
        await children.start(
            "Alertmanager",
            monitoring.alertmanager(folder, port=alertmanager_port),
            until=lambda _: monitoring.is_ready(alertmanager_port),
        )
        targets = {"perdure": urlsplit(places["Metrics"]).netloc, "demo-worker": worker_metrics}
        command = monitoring.prometheus(
            folder,
            port=prometheus_port,
            targets=targets,
            alertmanager=f"127.0.0.1:{alertmanager_port}",
        )
        await children.start(
            "Prometheus", command, until=lambda _: monitoring.is_ready(prometheus_port)
        )
        announce(
            {
                **places,
                "Worker's metrics": f"http://{worker_metrics}/metrics",
                "Prometheus": f"http://127.0.0.1:{prometheus_port}",
                "Alerts": await asyncio.to_thread(monitoring.alerts_page, prometheus_port),
                "Alertmanager": f"http://127.0.0.1:{alertmanager_port}",
                "Logs": str(folder),
            },
            notes=["A demo load runs. Ctrl-C ends it all."],
        )
        await children.until_one_ends()


def _places(server: Child) -> dict[str, str]:
    """Returns where the server says that things are; nothing before it serves."""
    lines = server.out_path.read_text("utf-8").splitlines()[2:]
    places = {name: place.strip() for name, _, place in (line.partition(":") for line in lines)}
    # It is the last line: nothing of the others is still to come.
    return places if "Database" in places else {}


def _free_ports(number: int) -> list[int]:
    with ExitStack() as taken:
        sockets = [taken.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
