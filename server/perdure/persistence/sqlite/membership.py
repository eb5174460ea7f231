"""Nodes and shards on a connection; times are those that the caller gives.

Rules that hold here: what changes shards runs in a write transaction, after which the writer's
`shards_changed` follows. Nodes are few: whether one has expired is `NodeRow`'s to say.
"""

import sqlite3
from collections.abc import Sequence

from perdure.persistence.ports import ClusterRows, NodeRow, NodeState, Shard
from perdure.persistence.shards import even_ranges
from perdure.persistence.sqlite.database import STATEMENTS

_STATES = {state.value: state for state in NodeState}


def read_cluster(connection: sqlite3.Connection, now: int) -> ClusterRows:
    """Returns nodes and shards in one snapshot."""
    nodes, shards = [], []
    for kind, *row in connection.execute(STATEMENTS["read_cluster"]):
        if kind == 0:
            name, node_id, roles, address, version, form, state, *times = row
            fixed = (node_id, name, roles, address, version, form)
            nodes.append(NodeRow(*fixed, _STATES[state], *times))
        else:
            shards.append(Shard(*row[:4]))
    return ClusterRows(now, nodes, shards)


def read_shards(connection: sqlite3.Connection) -> list[Shard]:
    """Returns all shards."""
    return [Shard(*row) for row in connection.execute(STATEMENTS["read_shards"]).fetchall()]


def register_node(connection: sqlite3.Connection, node: NodeRow, now: int) -> NodeRow | None:
    """Adds a node, unless a live one has its name: returns another one that has it."""
    for other in read_cluster(connection, now).nodes:
        if other.name == node.name:
            if not other.expired(now):
                return other if other.id != node.id else None
            connection.execute(STATEMENTS["delete_node"], (other.id,))
    said = (node.roles, node.address, node.version, node.format, node.state.value, node.lease)
    connection.execute(STATEMENTS["insert_node"], (node.id, node.name, *said, now, now))
    return None


def renew_node(
    connection: sqlite3.Connection, node_id: str, state: NodeState, now: int
) -> ClusterRows | None:
    """Says that a node is alive and reads the cluster; None when it is not registered."""
    renewed = connection.execute(STATEMENTS["renew_node"], (state.value, now, node_id))
    return read_cluster(connection, now) if renewed.rowcount else None


def remove_node(connection: sqlite3.Connection, node_id: str) -> None:
    """Removes a node, and its name from its shards."""
    connection.execute(STATEMENTS["delete_node"], (node_id,))
    connection.execute(STATEMENTS["disown_shards"], (node_id,))


def remove_expired_nodes(connection: sqlite3.Connection, expired_for: int, now: int) -> int:
    """Removes nodes whose lease ran out longer ago than that; returns how many."""
    nodes = read_cluster(connection, now).nodes
    expired = [(node.id,) for node in nodes if node.expired(now - expired_for)]
    connection.executemany(STATEMENTS["delete_node"], expired)
    return len(expired)


def create_shards(connection: sqlite3.Connection, count: int) -> bool:
    """Divides all slots into shards that nobody owns; False when some exist."""
    if connection.execute(STATEMENTS["count_shards"]).fetchone() != (0,):
        return False
    rows = [(first, last, "", _next_epoch(connection)) for first, last in even_ranges(count)]
    connection.executemany(STATEMENTS["insert_shard"], rows)
    return True


def acquire_shard(
    connection: sqlite3.Connection, first_slot: int, last_slot: int, owner: str
) -> Shard:
    """Writes a new shard over what shares a slot with it."""
    shard = Shard(first_slot, last_slot, owner, _next_epoch(connection))
    connection.execute(STATEMENTS["drop_shards"], (last_slot, first_slot))
    connection.execute(STATEMENTS["insert_shard"], shard)
    return shard


def take_shards(connection: sqlite3.Connection, shards: Sequence[Shard], owner: str) -> list[Shard]:
    """Takes over those of the given shards that still have the epoch named."""
    taken = []
    for shard in shards:
        new = shard._replace(owner=owner, epoch=_next_epoch(connection))
        parameters = (owner, new.epoch, shard.epoch)
        if connection.execute(STATEMENTS["take_shard"], parameters).rowcount:
            taken.append(new)
    return taken


def release_shard(connection: sqlite3.Connection, shard: Shard) -> bool:
    """Makes a shard nobody's; False when it has another epoch now."""
    return connection.execute(STATEMENTS["release_shard"], (shard.epoch,)).rowcount == 1


def _next_epoch(connection: sqlite3.Connection) -> int:
    (epoch,) = connection.execute(STATEMENTS["next_epoch"]).fetchone()
    return int(epoch)
