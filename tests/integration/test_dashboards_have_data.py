"""Every panel of every board, asked of a real Prometheus that scrapes a cluster under load."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from integration import scripted_load
from integration.prometheus import Prometheus, prometheus, until_seen
from integration.role_nodes import database_server, role_nodes
from perdure_dashboards.rendering import files

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(600)]
VARIABLES = {
    "$__rate_interval": "10s",
    "$percentile": "0.99",
    "$cluster": ".*",
    "$instance": ".*",
    "$namespace": ".*",
}
SECONDS = 90.0
WITHOUT_DATA = {
    "Acquisition of shards": "shards that have just moved",
    "Actions that wait for their turn": "more actions of schedules than their limit",
    "Callers refused": "an authorizer, and somebody whom it refuses",
    "Duration of decisions": "an authorizer",
    "Keys of tokens": "an authorizer that takes tokens",
    "Connections that fail": "a database that is away",
    "Failures by error and operation": "operations of the store that fail",
    "Failures by kind": "lists that fail",
    "Missed actions": "an outage that is longer than a catch-up window",
    "Missed or dropped": "such an outage, and a schedule whose buffer is full",
    "Refused": "a workflow under an id of a schedule's",
    "Requests of the limit": "a limit of a process's requests",
    "Workflow tasks that fail": "workers that fail tasks, or whose answers are refused",
    "Skipped": "actions that take longer than their schedule leaves them",
}
"""Panels of which some series only have data after what stands beside them."""


def queries() -> Iterator[tuple[str, str, str]]:
    """Yields board, panel and expression."""
    for name, text in files().items():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets") or ():
                expression = target["expr"]
                for variable, value in VARIABLES.items():
                    expression = expression.replace(variable, value)
                yield name, panel["title"], expression


async def test_every_panel_has_data(tmp_path: Path) -> None:
    settings, namespaces = scripted_load.settings(), scripted_load.NAMESPACES
    with database_server() as database:
        async with role_nodes(database, values=settings, namespaces=namespaces) as nodes:
            targets = [urlsplit(node.places["Metrics"]).netloc for node in nodes.values()]
            async with scripted_load.scripted_load(nodes["frontend"].places["gRPC"]):
                with prometheus({"perdure": targets}, tmp_path) as server:
                    empty: set[tuple[str, str]] = set()

                    def all_have_data() -> bool:
                        nonlocal empty
                        empty = panels_without_data(server)
                        return {panel for _, panel in empty} <= WITHOUT_DATA.keys()

                    try:
                        await until_seen(all_have_data, SECONDS)
                    except TimeoutError:
                        pytest.fail(f"without data: {sorted(empty)}")
                    rules = await asyncio.to_thread(server.rules)
                    firing = await asyncio.to_thread(server.firing)
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
    assert firing <= {"Watchdog"}


def panels_without_data(server: Prometheus) -> set[tuple[str, str]]:
    """Returns board and title of the panels that have a query without any number."""
    return {
        (board, panel) for board, panel, expression in queries() if not server.values(expression)
    }
