"""Groups of settings: a plain dataclass filled from keys."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from perdure.config.convert import integer
from perdure.config.groups import Group, Key, Shared, declare_group
from perdure.config.settings import SETTINGS, resolve


@dataclass(frozen=True, slots=True)
class Limits:
    signals: int = 3
    fixed: int = 4


@dataclass(frozen=True, slots=True)
class Outer:
    limits: Limits = Limits()


@pytest.fixture
def limits() -> Iterator[Group[Limits]]:
    before = dict(SETTINGS)
    yield declare_group(Limits(), {"signals": Key("test.signals", integer, "signals", "Most.")})
    SETTINGS.clear()
    SETTINGS.update(before)


def test_a_group_is_filled_from_values(limits: Group[Limits]) -> None:
    values, _ = resolve({"test.signals": 9})
    assert limits.build(values) == Limits(signals=9, fixed=4)


def test_without_values_it_is_the_defaults(limits: Group[Limits]) -> None:
    values, _ = resolve({})
    assert limits.build(values) == Limits()


def test_groups_may_share_a_setting(limits: Group[Limits]) -> None:
    other = declare_group(Limits(), {"signals": Shared(limits["signals"])})
    values, _ = resolve({"test.signals": 9})
    assert other.build(values).signals == 9


def test_a_shared_setting_may_have_another_unit(limits: Group[Limits]) -> None:
    thousands = Shared(limits["signals"], lambda signals: signals * 1_000)
    other = declare_group(Limits(signals=3_000), {"signals": thousands})
    values, _ = resolve({"test.signals": 9})
    assert other.build(values).signals == 9_000


def test_a_group_may_hold_another(limits: Group[Limits]) -> None:
    outer = declare_group(Outer(), {"limits": limits})
    values, _ = resolve({"test.signals": 9})
    assert outer.build(values) == Outer(Limits(signals=9))
    assert [setting.key for setting in outer.settings()] == ["test.signals"]


def test_a_shared_setting_has_one_default(limits: Group[Limits]) -> None:
    with pytest.raises(ValueError, match="has two defaults"):
        declare_group(Limits(), {"fixed": Shared(limits["signals"])})
