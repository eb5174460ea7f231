"""Identifiers: form, order, and that they do not repeat."""

import random
import re
import uuid

import pytest

from perdure.runtime.clock import SystemClock
from perdure.runtime.deterministic import ManualClock, SeededIds
from perdure.runtime.ids import SystemIds, uuid_v4, uuid_v7
from perdure.runtime.ports import Ids

MILLISECOND = 1_000_000


def seeded(seed: int) -> SeededIds:
    return SeededIds(generator=random.Random(seed), clock=ManualClock())


@pytest.fixture(params=["system", "seeded"])
def ids(request: pytest.FixtureRequest) -> Ids:
    return SystemIds(clock=SystemClock()) if request.param == "system" else seeded(1)


def test_run_ids_are_version_7_and_sort_in_the_order_they_were_made(ids: Ids) -> None:
    made = [ids.run_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {uuid.UUID(each).version for each in made} == {7}
    assert {uuid.UUID(each).variant for each in made} == {uuid.RFC_4122}


def test_run_ids_carry_the_wall_clock() -> None:
    clock = ManualClock(wall_nanoseconds=1_234_567 * MILLISECOND)
    assert uuid.UUID(SystemIds(clock=clock).run_id()).int >> 80 == 1_234_567


def test_run_ids_keep_their_order_when_the_wall_clock_goes_back() -> None:
    clock = ManualClock()
    ids = SystemIds(clock=clock)
    made = []
    for step in (0, 5, -3_000, 2, -7, 10_000):
        clock.wall_nanoseconds += step * MILLISECOND
        made += [ids.run_id() for _ in range(50)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_two_processes_do_not_make_the_same_run_ids_at_the_same_moment() -> None:
    clock = ManualClock()
    one, other = SystemIds(clock=clock), SystemIds(clock=clock)
    assert {one.run_id() for _ in range(1_000)}.isdisjoint({other.run_id() for _ in range(1_000)})


def test_request_ids_are_random_version_4(ids: Ids) -> None:
    made = {ids.request_id() for _ in range(5_000)}
    assert len(made) == 5_000
    assert {uuid.UUID(each).version for each in made} == {4}


def test_nonces_are_16_hexadecimal_digits(ids: Ids) -> None:
    made = {ids.nonce() for _ in range(5_000)}
    assert len(made) == 5_000
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in made)


def test_random_numbers_lie_between_0_and_1(ids: Ids) -> None:
    assert all(0.0 <= ids.random() < 1.0 for _ in range(1_000))


def test_a_seed_gives_the_same_identifiers_again() -> None:
    def make(ids: Ids) -> list[object]:
        return [ids.run_id(), ids.request_id(), ids.nonce(), ids.random()]

    assert make(seeded(7)) == make(seeded(7))
    assert make(seeded(7)) != make(seeded(8))


@pytest.mark.parametrize("bits", [0, (1 << 128) - 1, 0x0123456789ABCDEF0123456789ABCDEF])
def test_uuid_v4_agrees_with_the_standard_library(bits: int) -> None:
    assert uuid_v4(bits) == str(uuid.UUID(int=bits, version=4))


def test_uuid_v7_places_time_and_tail() -> None:
    assert uuid_v7(0, 0) == "00000000-0000-7000-8000-000000000000"
    assert uuid_v7((1 << 48) - 1, (1 << 74) - 1) == "ffffffff-ffff-7fff-bfff-ffffffffffff"
