"""`perdure cluster status`: who is alive, and whether everything has somebody who serves it."""

import dataclasses
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from perdure.app import reading, tables
from perdure.app.failures import said_in_a_sentence
from perdure.app.reading import Opened
from perdure.config.static import ALL_ROLES
from perdure.persistence.ports import ClusterRows, NodeRow, Shard

DEGRADED_EXIT_CODE = 3
"""Something has no live owner; 1 and 2 mean that the question could not be answered."""
_RANGES_NAMED = 5


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node as it last said, and whether its lease still runs; ages are whole seconds."""

    name: str
    id: str
    roles: list[str]
    address: str
    version: str
    state: str
    alive: bool
    expired_seconds: int
    renewed_seconds: int
    shards: int


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster at one moment.

    Attributes:
        cluster_id: The cluster's id.
        store: Which kind of store it is in.
        schema_version: Of that store.
        nodes: Those registered, dead ones too, by name.
        shards: How many shards there are.
        shards_owned: How many of them have a live owner.
        problems: A sentence for each thing that nobody serves; empty when all is well.
    """

    cluster_id: str
    store: str
    schema_version: int
    nodes: list[NodeStatus]
    shards: int
    shards_owned: int
    problems: list[str]


@click.command("status")
@reading.of_store
def status(path: Path | None, dsn: str, db_filename: str, output: str) -> None:
    """Show nodes, their leases and shards; exits with 3 when something has no live owner."""
    with said_in_a_sentence():
        found = reading.read(path, dsn, db_filename, look)
    if output == "json":
        tables.print_json(dataclasses.asdict(found))
    else:
        _print(found)
    sys.exit(DEGRADED_EXIT_CODE if found.problems else 0)


async def look(opened: Opened) -> ClusterStatus:
    """Returns the status of the cluster in a store."""
    rows = await opened.store.read_cluster()
    alive = {node.id for node in rows.nodes if not node.expired(rows.now)}
    return ClusterStatus(
        cluster_id=await opened.store.cluster_id(),
        store=opened.kind,
        schema_version=opened.schema_version,
        nodes=[_node(node, rows) for node in rows.nodes],
        shards=len(rows.shards),
        shards_owned=sum(shard.owner in alive for shard in rows.shards),
        problems=list(_problems(rows, alive)),
    )


def _node(node: NodeRow, rows: ClusterRows) -> NodeStatus:
    alive = not node.expired(rows.now)
    return NodeStatus(
        name=node.name,
        id=node.id,
        roles=node.roles.split(","),
        address=node.address,
        version=node.version,
        state=node.state.value,
        alive=alive,
        expired_seconds=0 if alive else _seconds(rows.now - node.renewed - node.lease),
        renewed_seconds=_seconds(rows.now - node.renewed),
        shards=sum(shard.owner == node.id for shard in rows.shards),
    )


def _problems(rows: ClusterRows, alive: set[str]) -> Iterator[str]:
    served = {
        role for node in rows.nodes if node.id in alive for role in node.roles.split(",") if role
    }
    for role in ALL_ROLES:
        if role not in served:
            yield f"no live node serves {role}: start one that has the role"
    if not rows.shards:
        yield "there are no shards yet: the first history node makes them"
    orphaned = [shard for shard in rows.shards if shard.owner not in alive]
    if orphaned:
        yield (
            f"{len(orphaned)} of {len(rows.shards)} shards have no live owner"
            f" ({_ranges(orphaned)}): their workflows stand still until a history node takes them"
        )


def _ranges(shards: list[Shard]) -> str:
    named = [f"{shard.first_slot}-{shard.last_slot}" for shard in shards[:_RANGES_NAMED]]
    more = ", …" if len(shards) > _RANGES_NAMED else ""
    return f"slots {', '.join(named)}{more}"


def _print(found: ClusterStatus) -> None:
    columns = ("node", "roles", "address", "version", "state", "lease", "shards")
    tables.print_table(columns, map(_row, found.nodes))
    tables.print_fields(
        {
            "cluster": found.cluster_id,
            "store": f"{found.store}, schema {found.schema_version}",
            "nodes": f"{sum(node.alive for node in found.nodes)} of {len(found.nodes)} alive",
            "shards": f"{found.shards_owned} of {found.shards} with a live owner",
        }
    )
    for problem in found.problems:
        click.echo(problem, err=True)


def _row(node: NodeStatus) -> tables.Row:
    lease = (
        f"renewed {node.renewed_seconds} s ago"
        if node.alive
        else f"expired {node.expired_seconds} s ago"
    )
    roles = ", ".join(node.roles)
    return (node.name, roles, node.address, node.version, node.state, lease, node.shards)


def _seconds(nanoseconds: int) -> int:
    return nanoseconds // 1_000_000_000
