"""`perdure shard list`: every shard and who owns it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import click

from perdure.app import reading, tables
from perdure.app.failures import said_in_a_sentence
from perdure.app.reading import Opened
from perdure.persistence.ports import ClusterRows, Shard


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """A shard and its owner.

    `owner_state` is "up" or "draining"; "expired" when the owner's lease has run out, "gone" when
    it is registered no more, "nobody" when there is none.
    """

    first_slot: int
    last_slot: int
    owner: str
    owner_id: str
    epoch: int
    owner_state: str


@click.command("list")
@reading.of_store
def list_shards(path: Path | None, dsn: str, db_filename: str, output: str) -> None:
    """Show every shard: slots, owner, epoch."""
    with said_in_a_sentence():
        shards = reading.read(path, dsn, db_filename, look)
    if output == "json":
        tables.print_json([dataclasses.asdict(shard) for shard in shards])
        return
    columns = ("first slot", "last slot", "owner", "epoch", "owner's state")
    tables.print_table(
        columns,
        (
            (shard.first_slot, shard.last_slot, shard.owner, shard.epoch, shard.owner_state)
            for shard in shards
        ),
    )


async def look(opened: Opened) -> list[ShardStatus]:
    """Returns the shards in a store, by first slot."""
    rows = await opened.store.read_cluster()
    return [of_shard(shard, rows) for shard in rows.shards]


def of_shard(shard: Shard, rows: ClusterRows) -> ShardStatus:
    """Returns a shard with its owner's name and state."""
    owner = next((node for node in rows.nodes if node.id == shard.owner), None)
    if owner is None:
        state, name = ("gone" if shard.owner else "nobody"), shard.owner
    else:
        state, name = ("expired" if owner.expired(rows.now) else owner.state.value), owner.name
    return ShardStatus(
        first_slot=shard.first_slot,
        last_slot=shard.last_slot,
        owner=name,
        owner_id=shard.owner,
        epoch=shard.epoch,
        owner_state=state,
    )
