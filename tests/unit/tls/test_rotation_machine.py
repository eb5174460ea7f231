"""Rotations on paper: hosts and clients that get files late, and none that ever refuses another.

No key is made. A party is what it was given last: the roots it trusts, and the root that its
certificate leads to. Parties fetch what is published at any time, listeners as late as they like,
clients within the overlap. Whatever the order, with a rollback at any point, each pair of a client
and a listener accepts one another all the time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure_tls import rotation
from perdure_tls.identity import Identity, Role
from perdure_tls.rotation import Change, MakeIntermediate, MakeRoot, Reissue, Step, Verify, Wait
from perdure_tls.state import (
    Certificate,
    Generation,
    Intermediate,
    Issued,
    Kind,
    Root,
    State,
    with_generation,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OVERLAP, TICK = timedelta(hours=24), timedelta(hours=1)
LISTENERS, CLIENTS = ("n1", "n2"), ("c1", "c2")


@dataclass
class Party:
    """Somebody with files that were brought at a time."""

    trust: tuple[int, ...]
    root: int
    serial: str
    fetched: datetime

    def fetch(self, name: str, state: State, now: datetime) -> None:
        newest = state.certificates[name].newest
        self.trust = state.trust
        self.root = state.intermediates[newest.issuer].root
        self.serial, self.fetched = newest.serial, now


class World:
    """An authority and its parties."""

    def __init__(self) -> None:
        self.now, self._made = NOW, 0
        generations = {name: Generation(**dict(self._issued()), issuer=1) for name in PARTIES}
        self.state = State(
            trust_domain="example.com",
            roots={1: Root(**dict(self._issued()), crl=1)},
            intermediates={1: Intermediate(**dict(self._issued()), root=1, crl=1)},
            trust=(1,),
            issuer=1,
            certificates={
                name: Certificate(
                    identity=Identity.of(Role.INTERNODE, name),
                    lifetime_seconds=1,
                    current=1,
                    generations={1: generation},
                )
                for name, generation in generations.items()
            },
        )
        self.parties = {
            name: Party((1,), 1, generation.serial, NOW) for name, generation in generations.items()
        }

    def _issued(self) -> Issued:
        self._made += 1
        return Issued(
            serial=f"{self._made:x}",
            not_before=NOW,
            not_after=NOW + timedelta(days=9999),
            fingerprint="",
        )

    def fetch(self, name: str) -> None:
        self.parties[name].fetch(name, self.state, self.now)

    def pass_time(self) -> None:
        self.now += TICK
        for name in CLIENTS:  # which have what was published within the overlap
            if self.now - self.parties[name].fetched >= OVERLAP - TICK:
                self.fetch(name)

    def go_on(self) -> None:
        """Takes one step of the rotation, if it can be taken now."""
        step = rotation.step(self.state, self.now)
        if step is not None:
            self._take(step)

    def _take(self, step: Step) -> None:
        match step:
            case MakeRoot(number):
                self.state = rotation.with_root(
                    self.state, number, Root(**dict(self._issued()), crl=1)
                )
            case MakeIntermediate(number, root):
                made = Intermediate(**dict(self._issued()), root=root, crl=1)
                self.state = rotation.with_intermediate(self.state, number, made)
            case Reissue(names, issuer):
                self.state = self.state.with_certificates(
                    {
                        name: with_generation(
                            self.state.certificates[name],
                            Generation(**dict(self._issued()), issuer=issuer),
                        )
                        for name in names
                    }
                )
            case Verify():
                if all(self._ready(name, step) for name in LISTENERS):
                    self.state = rotation.verified(self.state, self.now)
            case Change(after, _):
                self.state = after
            case Wait():
                self.pass_time()

    def _ready(self, name: str, wanted: Verify) -> bool:
        party = self.parties[name]
        accepts = self.state.intermediates[wanted.client_issuer].root in party.trust
        return accepts and (not wanted.serials or party.serial in wanted.serials)

    def check(self) -> None:
        """Checks that everybody accepts everybody."""
        for one in (*LISTENERS, *CLIENTS):
            for other in LISTENERS:
                mine, theirs = self.parties[one], self.parties[other]
                assert theirs.root in mine.trust, f"{one} refuses {other}"
                assert mine.root in theirs.trust, f"{other} refuses {one}"


@dataclass(frozen=True)
class Event:
    """A while in which time passes, some fetch what is published, and the rotation goes on."""

    hours: int
    fetching: tuple[str, ...]
    steps: int


PARTIES = (*LISTENERS, *CLIENTS)
EVENTS = st.builds(
    Event,
    hours=st.sampled_from([0, 0, 1, 12, 24]),
    fetching=st.sets(st.sampled_from(PARTIES)).map(lambda names: tuple(sorted(names))),
    steps=st.integers(0, 8),
)


@settings(max_examples=500)
@given(st.sampled_from(list(Kind)), st.lists(EVENTS, max_size=20), st.none() | st.integers(0, 20))
def test_nobody_refuses_anybody(kind: Kind, events: list[Event], back: int | None) -> None:
    world = World()
    world.state = rotation.begin(world.state, kind, now=NOW, overlap=OVERLAP)
    for number, event in enumerate(events):
        if number == back:
            turn_back(world)
        for _ in range(event.hours):
            world.pass_time()
            world.check()
        for name in event.fetching:
            world.fetch(name)
            world.check()
        for _ in range(event.steps):
            world.go_on()
            world.check()
    finish(world)


def turn_back(world: World) -> None:
    current = world.state.rotation
    if current is not None and current.phase != "drop" and not rotation.goes_back(current):
        world.state = rotation.turn_back(world.state)


def finish(world: World) -> None:
    """Lets everything happen that is still to happen."""
    for _ in range(400):
        if world.state.rotation is None:
            break
        for name in LISTENERS:
            world.fetch(name)
            world.check()
        world.go_on()
        world.check()
    assert world.state.rotation is None
    assert len(world.state.trust) == len(world.state.roots) == 1
    assert len(world.state.intermediates) == 1
    assert {len(entry.generations) for entry in world.state.certificates.values()} == {1}
    for name in PARTIES:
        world.fetch(name)
        world.check()
