"""Every setting that an operator may give: it is declared once, and does something."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from perdure.app import schedule_settings, settings
from perdure.config.groups import Group
from perdure.config.settings import SETTINGS, Setting, resolve
from perdure.frontend.settings import FrontendSettings

GROUPS: list[Group[Any]] = [
    item
    for module in (schedule_settings, settings)
    for item in vars(module).values()
    if isinstance(item, Group)
]
REGISTERED = {setting.key: setting for group in GROUPS for setting in group.settings()}


def leaves(group: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yields the fields of a dataclass, and of those in it, with their values."""
    assert is_dataclass(group)
    for field in fields(group):
        value = getattr(group, field.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value


def changed(group: Group[Any], key: str, given: object) -> list[str]:
    """Returns which fields a given value changes."""
    values, problems = resolve({key: given})
    assert not problems
    before, after = leaves(group.defaults), leaves(group.build(values))
    return [name for (name, old), (_, new) in zip(before, after, strict=True) if old != new]


def another(setting: Setting[object]) -> object:
    """Returns a value as it may be given that is not the default."""
    if isinstance(setting.default, bool):
        return not setting.default
    return "7777s" if setting.unit in {"s", "ns"} else 7_777


def test_every_setting_that_is_declared_is_of_a_group() -> None:
    assert set(SETTINGS) == {key.lower() for key in REGISTERED}


@pytest.mark.parametrize("key", REGISTERED)
def test_a_setting_acts(key: str) -> None:
    setting = REGISTERED[key]
    users = [group for group in GROUPS if setting in group.settings()]
    for group in users:
        assert len(changed(group, key, another(setting))) == 1


def test_every_field_of_the_frontend_and_of_workflows_has_a_key() -> None:
    for group in (settings.FRONTEND, settings.WORKFLOW):
        keyed = {
            name
            for setting in group.settings()
            for name in changed(group, setting.key, another(setting))
        }
        assert keyed == {name for name, _ in leaves(group.defaults)}


def test_one_setting_has_two_users_with_units_of_their_own() -> None:
    values, _ = resolve({"system.maxWorkflowTaskTimeout": "5m"})
    assert settings.WORKFLOW.build(values).max_workflow_task_timeout == 300_000_000_000
    assert settings.FRONTEND.build(values).max_workflow_task_seconds == 300.0


def test_without_values_every_group_is_its_defaults() -> None:
    values, _ = resolve({})
    for group in GROUPS:
        assert group.build(values) == group.defaults
    assert settings.FRONTEND.build(values) == FrontendSettings()
