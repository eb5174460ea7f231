"""Nodes and shards: who is alive, and who owns what.

Rules that hold here: heartbeats have a connection of their own, because nothing may make them
wait; so have takeovers, which wait behind transactions in flight. A heartbeat that nobody waits
for any more lets the next one go at once. Every call is one round trip. Takeovers are made one at
a time, and lock shards in the order in which commits do: by first slot.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg

from perdure.persistence.ports import (
    ClusterRows,
    NodeRow,
    NodeState,
    Shard,
    StoreUnavailable,
)
from perdure.persistence.postgres.connecting import Address
from perdure.persistence.postgres.readers import Parameters, Rows, fetch_surely, fetch_twice
from perdure.persistence.postgres.session import Session
from perdure.persistence.postgres.statements import STATEMENTS
from perdure.persistence.settling import settled
from perdure.persistence.shards import even_ranges

BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"


class Membership:
    """The cluster's rows, on two connections."""

    def __init__(self, address: Address) -> None:
        self._heartbeats = Session(address)
        self._takeovers = Session(address)

    async def register_node(self, node: NodeRow) -> NodeRow | None:
        """Adds a node; returns the live node that has the name, and adds nothing then."""
        said = (node.name, node.id, node.roles, node.address, node.version, node.format)
        parameters = (*said, node.state.value, node.lease)
        async with self._heartbeats.lock:
            sql = STATEMENTS["register_node"]
            work = fetch_surely(self._heartbeats, sql, parameters)
            (row,) = await self._heartbeats.promptly(work)
        holder = _node(row)
        return None if holder.id == node.id else holder

    async def renew_node(self, node_id: str, state: NodeState) -> ClusterRows | None:
        """Says that a node is alive and reads the cluster; None when it is not registered."""
        rows = await self._repeatable("renew_node", (state.value, node_id, node_id))
        return _cluster(rows[0]) if rows else None

    async def read_cluster(self) -> ClusterRows:
        """Reads nodes and shards in one snapshot."""
        return _cluster((await self._repeatable("read_cluster", ()))[0])

    async def remove_node(self, node_id: str) -> None:
        """Removes a node, and its name from its shards."""
        await self._alone(("remove_node", (node_id,)), ("disown_shards", (node_id,)))

    async def remove_expired_nodes(self, expired_for: int) -> int:
        """Removes nodes whose lease ran out longer ago than that; returns how many."""
        (removed,) = await self._alone(("remove_expired_nodes", (expired_for,)))
        return removed.rowcount

    async def create_shards(self, count: int) -> bool:
        """Divides all slots into shards that nobody owns; False when some exist."""
        firsts, lasts = zip(*even_ranges(count), strict=True)
        (created,) = await self._alone(("create_shards", (list(firsts), list(lasts))))
        return created.rowcount > 0

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Takes over a range of slots; waits behind the transactions that hold them."""
        slots = (last_slot, first_slot)
        *_, inserted = await self._alone(
            ("lock_shards", slots),
            ("drop_shards", slots),
            ("insert_shard", (first_slot, last_slot, owner)),
        )
        row = await inserted.fetchone()
        assert row is not None
        return Shard(*row)

    async def take_shards(self, shards: Sequence[Shard], owner: str) -> list[Shard]:
        """Takes over those of the given shards that still have the epoch named."""
        if not shards:
            return []
        epochs = [shard.epoch for shard in shards]
        (updated,) = await self._alone(("take_shards", (epochs, owner)))
        taken = {row[0]: Shard(*row) for row in await updated.fetchall()}
        firsts = dict.fromkeys(shard.first_slot for shard in shards)
        return [taken[first] for first in firsts if first in taken]

    async def release_shard(self, shard: Shard) -> bool:
        """Makes a shard nobody's; False when it has another epoch now."""
        (updated,) = await self._alone(("release_shard", (shard.epoch,)))
        return updated.rowcount == 1

    async def close(self) -> None:
        """Finishes what is in flight and closes the connections."""
        for session in (self._heartbeats, self._takeovers):
            async with session.lock:
                await session.close()

    async def _repeatable(self, name: str, parameters: Parameters) -> Rows:
        async with self._heartbeats.lock:
            return await self._heartbeats.promptly(
                fetch_twice(self._heartbeats, STATEMENTS[name], parameters)
            )

    async def _alone(
        self, *statements: tuple[str, tuple[Any, ...]]
    ) -> list[psycopg.AsyncCursor[tuple[Any, ...]]]:
        """Runs statements as one transaction, beside no other takeover, although cancelled."""
        async with self._takeovers.lock:
            return await settled(asyncio.ensure_future(self._transaction(statements)))

    async def _transaction(
        self, statements: Sequence[tuple[str, tuple[Any, ...]]]
    ) -> list[psycopg.AsyncCursor[tuple[Any, ...]]]:
        async with self._takeovers.connected() as connection:
            try:
                async with connection.pipeline():
                    await connection.execute(BEGIN, prepare=False)
                    await connection.execute(STATEMENTS["lock_takeovers"])
                    cursors = [
                        await connection.execute(STATEMENTS[name], parameters)
                        for name, parameters in statements
                    ]
                    await connection.execute(b"COMMIT", prepare=False)
            except psycopg.Error as error:
                await connection.close()
                raise StoreUnavailable(f"the cluster's rows cannot be written: {error}") from error
        return cursors


def _node(row: Sequence[Any]) -> NodeRow:
    said: tuple[Any, ...] = (*row[:6], NodeState(row[6]), *row[7:])
    return NodeRow(*said)


def _cluster(row: Sequence[Any]) -> ClusterRows:
    now, nodes, shards = row
    return ClusterRows(
        now, [_node(node) for node in nodes or ()], [Shard(*shard) for shard in shards or ()]
    )
