"""Own changes to the shard table against readings of any age, and judgements of who is alive."""

from hypothesis import given
from hypothesis import strategies as st

from perdure.membership.changes import OwnChanges
from perdure.membership.lease import Lease
from perdure.membership.liveness import Liveness
from perdure.persistence.ports import ClusterRows, NodeRow, Shard
from perdure.runtime.deterministic import ManualClock
from unit.membership.world import node_row

OTHERS = Shard(0, 9, "other", 1)
MINE = Shard(0, 9, "me", 2)
RELEASED = Shard(0, 9, "", 2)
TAKEN_AGAIN = Shard(0, 9, "other", 3)
LIFE = [OTHERS, MINE, RELEASED, TAKEN_AGAIN]
"""The states of one shard, from the oldest on."""


@given(st.lists(st.sampled_from([MINE, RELEASED])), st.sampled_from(LIFE))
def test_the_newest_state_wins_in_whatever_order_changes_are_noted(
    noted: list[Shard], reading: Shard
) -> None:
    changes = OwnChanges()
    for shard in noted:
        changes.note(shard)
    newest = max([*noted, reading], key=LIFE.index)
    assert changes.overlay([reading]) == [newest]
    assert changes.settle([reading]) == ([MINE] if (newest, reading) == (RELEASED, MINE) else [])
    assert changes.overlay([reading]) == [newest]


def test_a_change_is_forgotten_once_a_reading_shows_it() -> None:
    changes = OwnChanges()
    changes.note(RELEASED)
    changes.settle([TAKEN_AGAIN])
    # A store that was restored from a backup goes back: what it says now is what counts.
    assert changes.overlay([OTHERS]) == [OTHERS]


def test_changes_of_ranges_that_exist_no_more_are_forgotten() -> None:
    changes = OwnChanges()
    changes.note(MINE)
    halves = [Shard(0, 4, "", 3), Shard(5, 9, "", 4)]
    assert changes.overlay(halves) == halves
    changes.settle(halves)
    assert changes.overlay([OTHERS]) == [OTHERS]
    changes.note(MINE)
    changes.clear()
    assert changes.overlay([OTHERS]) == [OTHERS]


def test_a_lease_counts_from_the_sending_and_ends_a_margin_early() -> None:
    clock = ManualClock(monotonic_seconds=100.0)
    lease = Lease(clock=clock, seconds=6.0, margin_seconds=0.5)
    assert not lease.valid()
    clock.advance(2.0)
    lease.extend(100.0)
    clock.advance(3.25)
    assert lease.valid()
    lease.extend(99.0)
    clock.advance(0.25)
    assert not lease.valid()
    lease.extend(105.0)
    assert lease.valid()
    lease.end()
    assert not lease.valid()


class Readings:
    """A judge, and readings of three nodes on a store clock and an own clock, in seconds."""

    def __init__(self) -> None:
        self.liveness = Liveness(outage_seconds=2.0, grace_seconds=3.0)
        self.renewed = {"a": 0, "b": 0}

    def judge(self, now: float, *, store_now: float | None = None, **renewed: float) -> set[str]:
        self.renewed.update({name: round(at * 1e9) for name, at in renewed.items()})
        nodes: list[NodeRow] = [
            node_row(name, node_id=name, renewed=at) for name, at in self.renewed.items()
        ]
        at = now if store_now is None else store_now
        return set(self.liveness.judge(ClusterRows(round(at * 1e9), nodes, []), now))


def test_an_expired_lease_means_dead_at_once_while_the_store_is_there() -> None:
    readings = Readings()
    for second in range(7):
        assert readings.judge(float(second), a=second) == {"a", "b"}
    assert readings.judge(7.0, a=7.0) == {"a"}


def test_after_an_outage_the_living_stay_alive_for_the_grace() -> None:
    readings = Readings()
    readings.judge(0.0)
    assert readings.judge(20.0, a=20.0) == {"a", "b"}
    assert readings.judge(21.0, a=21.0) == {"a", "b"}
    assert readings.judge(22.9, a=22.9) == {"a", "b"}
    assert readings.judge(23.0, a=23.0) == {"a"}


def test_the_grace_brings_nobody_back_and_keeps_no_removed_node() -> None:
    readings = Readings()
    readings.judge(0.0, c=-100.0)
    assert readings.judge(20.0, a=20.0) == {"a", "b"}
    del readings.renewed["b"]
    assert readings.judge(21.0, a=21.0) == {"a"}


def test_a_store_clock_that_jumps_counts_as_an_outage() -> None:
    readings = Readings()
    readings.judge(1.0, store_now=1.0, a=1.0, b=1.0)
    assert readings.judge(2.0, store_now=1_002.0, a=1_002.0) == {"a", "b"}
    assert readings.judge(3.0, store_now=1_003.0, b=1_002.5) == {"a", "b"}
