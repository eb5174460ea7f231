"""A file of settings that changes while the server runs."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from perdure.app.settings import QUOTAS
from perdure.app.settings_file import SettingsFile
from perdure.config import dynamic
from perdure.config.settings import Values
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics


class World:
    """A file, who follows it, and what that has told."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        path.write_text(text)
        self.told: list[Values] = []
        self.metrics = Metrics()
        scoped = self.metrics.scoped(service_name="frontend")
        self.file = SettingsFile(
            path,
            started=dynamic.read(path, beneath=Values()),
            beneath=Values(),
            metrics=scoped,
            apply=self.told.append,
        )
        self.readings = scoped.counter(catalogue.SETTINGS_READ)

    def replace(self, text: str) -> list[str]:
        """Replaces the file's contents; returns the events that are logged about it."""
        other = self.path.with_suffix(".new")
        other.write_text(text)
        other.rename(self.path)
        with capture_logs() as logs:
            self.file.look()
        return [str(entry["event"]) for entry in logs]

    def rates(self) -> list[float]:
        return [QUOTAS.build(values).rps for values in self.told]

    def counted(self, outcome: str) -> float:
        return self.readings.bind(outcome=outcome).value


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "settings.yml", "frontend.rps: 1")


def test_a_file_that_stays_as_it_is_tells_nothing(world: World) -> None:
    world.file.look()
    assert world.told == []
    assert world.counted("used") == 0


def test_a_change_is_told(world: World) -> None:
    assert world.replace("frontend.rps: 2") == ["settings changed"]
    assert world.rates() == [2.0]
    assert world.replace("frontend.rps: 2 # as before") == []
    assert world.replace("") == ["settings changed"]
    assert world.rates() == [2.0, 0.0]
    assert world.counted("used") == 3


def test_a_mistake_changes_nothing_and_is_said_once(world: World) -> None:
    said = "the settings stay as they are: the file has mistakes"
    assert world.replace("frontend.rps: fast") == [said]
    with capture_logs() as logs:
        world.file.look()
    assert logs == []
    assert (world.told, world.counted("refused")) == ([], 1)
    world.path.unlink()
    with capture_logs() as logs:
        world.file.look()
    assert len(logs) == 1
    world.replace("frontend.rps: 3")
    assert world.rates() == [3.0]


def test_what_waits_for_the_next_start_is_named(world: World) -> None:
    events = world.replace("frontend.rps: 1\nlimit.maxIDLength: 77")
    assert events == ["settings changed", "these settings change when the server starts again"]
