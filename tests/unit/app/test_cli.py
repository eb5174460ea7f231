"""The command line: what it refuses, in a sentence, and how it ends."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from perdure.app.cli import main
from perdure.config.keys import file_keys
from perdure.config.settings import SETTINGS


def perdure(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="perdure")


def refused(*arguments: str) -> str:
    result = perdure(*arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
    return result.stderr.strip()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "perdure.yml"


def test_the_version() -> None:
    assert perdure("--version").stdout == "perdure 0.1.0\n"


def test_every_command_has_help() -> None:
    commands = (
        *([], ["server"], ["server", "start-dev"], ["server", "start"], ["config"]),
        *(["cluster"], ["cluster", "status"], ["shard"], ["shard", "list"]),
        *(["workflow"], ["workflow", "inspect"]),
    )
    for command in commands:
        result = perdure(*command, "--help")
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: perdure")


def test_an_unknown_log_level() -> None:
    sentence = refused("server", "start-dev", "--log-level", "loud")
    assert "'loud' is not one of 'debug', 'info', 'warn', 'error', 'never'" in sentence


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--dynamic-config-value", "a", 'dynamic config value "a" is not of the form KEY=JSON'),
        ("--dynamic-config-value", "a=b", 'invalid JSON value for key "a"'),
        ("--search-attribute", "A", 'search attribute "A" is not of the form NAME=TYPE'),
        ("--search-attribute", "A=Keywrd", 'the type "Keywrd" (did you mean "Keyword"?)'),
        ("--port", "70000", "70000 is not in the range"),
    ],
)
def test_flags_that_cannot_be_used(flag: str, value: str, expected: str) -> None:
    assert expected in refused("server", "start-dev", flag, value)


def test_an_unknown_key_in_a_file(config: Path) -> None:
    config.write_text("listeners:\n  grpcc: {}\n", "utf-8")
    expected = f'Error: {config}:2: unknown key "listeners.grpcc" (did you mean "grpc"?)'
    assert refused("config", "check", str(config)) == expected
    assert refused("server", "start", "--config", str(config)) == expected


def test_an_unknown_setting_in_a_file(config: Path) -> None:
    config.write_text("settings:\n  no.such: 1\n", "utf-8")
    sentence = refused("config", "check", str(config))
    assert sentence.startswith(f'Error: {config}:2: setting "no.such" has no effect here')


def test_every_key_of_a_file_is_listed() -> None:
    listed = perdure("config", "keys").stdout
    assert (
        "logging.level: debug | info | warn | error | never\n"
        '    The least serious lines that are written. Default: "info".\n'
    ) in listed
    for line in listed.splitlines()[1::2]:
        assert not line.lstrip().startswith("Default"), "a key without a text"


def test_every_setting_is_listed() -> None:
    listed = perdure("config", "settings").stdout
    assert "limit.maxIDLength\n    Longest identifier. Default: 1000 bytes.\n" in listed
    for setting in SETTINGS.values():
        assert f"{setting.key}\n" in listed


DOCS = Path(__file__).parents[3] / "docs"


def examples(page: str) -> list[str]:
    """The YAML files that a page of the documentation shows."""
    blocks = (DOCS / page).read_text("utf-8").split("```yaml\n")[1:]
    return [block.partition("```")[0] for block in blocks]


@pytest.mark.parametrize("page", ["configuration.md", "operations/processes.md"])
def test_documented_files_are_sound(config: Path, page: str) -> None:
    assert examples(page)
    for example in examples(page):
        config.write_text(example, "utf-8")
        result = perdure("config", "check", str(config))
        assert (result.exit_code, result.stderr) == (0, "")


def keys_of(section: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Every key of a file as `file_keys` writes it, those of sections too."""
    for key, value in section.items():
        yield f"{prefix}{key}"
        if key == "hostOverrides":
            for entry in value.values():
                yield from keys_of(entry, f"{prefix}{key}.<name>.")
        elif isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{key}.")
        elif isinstance(value, list) and isinstance(value[0], dict):
            for entry in value:
                yield from keys_of(entry, f"{prefix}{key}[].")


def test_the_documented_files_have_every_key() -> None:
    written = {
        key
        for page in ("configuration.md", "operations/tls.md")
        for example in examples(page)
        for key in keys_of(yaml.safe_load(example))
    }
    assert {key.name for key in file_keys()} - written == set()


def test_a_sound_file(config: Path) -> None:
    config.write_text("store: {kind: memory}\n", "utf-8")
    result = perdure("config", "check", str(config))
    assert (result.exit_code, result.stdout) == (0, f"{config} is a valid configuration\n")


def test_a_role_of_its_own(config: Path) -> None:
    config.write_text("store: {kind: memory}\n", "utf-8")
    sentence = refused("server", "start", "--config", str(config), "--role", "frontend")
    assert sentence.startswith("Error: a process without history, matching, worker cannot run on")


def test_roles_beside_processes(config: Path) -> None:
    config.write_text(
        "store: {kind: postgres, dsn: 'postgresql:///perdure'}\n"
        "processes:\n- {name: engine, roles: [history, matching]}\n",
        "utf-8",
    )
    start = ("server", "start", "--config", str(config))
    assert "choose one by --process" in refused(*start, "--role", "frontend")
    assert 'there is no process "engine"' in refused(*start, "--process", "engine")
