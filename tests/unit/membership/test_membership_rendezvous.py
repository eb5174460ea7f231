"""Who claims a key: the same for everyone, evenly, and with the least movement."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.membership.rendezvous import Rendezvous, owner

NAMES = st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True)
KEYS = [f"key-{number}" for number in range(200)]


@given(NAMES, st.data())
def test_a_node_that_leaves_moves_only_its_own_keys(names: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(names))
    rest = [name for name in names if name != gone]
    for key in KEYS:
        before, after = owner(key, names), owner(key, rest)
        assert before in {after, gone}
        assert after in rest or not rest


@given(NAMES)
def test_the_order_of_candidates_does_not_matter(names: list[str]) -> None:
    turned = names[::-1]
    assert [owner(key, names) for key in KEYS[:20]] == [owner(key, turned) for key in KEYS[:20]]


@settings(max_examples=25)
@given(st.integers(min_value=2, max_value=8), st.integers())
def test_keys_are_spread_evenly(count: int, salt: int) -> None:
    names = [f"node-{salt}-{number}" for number in range(count)]
    keys = 400 * count
    shares = Counter(owner(f"key-{number}", names) for number in range(keys))
    # Six standard deviations of a binomial with a mean of 400.
    assert all(280 < shares[name] < 520 for name in names)


def test_nobody_owns_a_key_without_candidates() -> None:
    assert owner("key", []) is None
    assert Rendezvous([]).owner(("key",)) is None


def test_owners_are_part_of_the_protocol_between_releases() -> None:
    names = ["alpha", "beta", "gamma"]
    plain = [owner(key, names) for key in KEYS[:8]]
    assert plain == ["alpha", "gamma", "gamma", "alpha", "gamma", "alpha", "alpha", "beta"]
    parts = [Rendezvous(names).owner(("queue", number, 1)) for number in range(8)]
    assert parts == ["gamma", "alpha", "beta", "beta", "gamma", "gamma", "alpha", "alpha"]


def test_the_memory_of_owners_is_bounded() -> None:
    rendezvous = Rendezvous(["alpha", "beta"])
    first = [rendezvous.owner((number,)) for number in range(1_000)]
    for number in range(50_000):
        rendezvous.owner((number,))
    assert len(rendezvous._owners) <= 20_000
    assert [rendezvous.owner((number,)) for number in range(1_000)] == first
