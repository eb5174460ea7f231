"""The command line: what it refuses, in a sentence, and how it ends."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from perdure.app.cli import main


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
    for command in ([], ["server"], ["server", "start-dev"], ["server", "start"], ["config"]):
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


def test_a_sound_file(config: Path) -> None:
    config.write_text("store: {kind: memory}\n", "utf-8")
    result = perdure("config", "check", str(config))
    assert (result.exit_code, result.stdout) == (0, f"{config} is a valid configuration\n")


def test_a_role_of_its_own(config: Path) -> None:
    config.write_text("store: {kind: memory}\n", "utf-8")
    sentence = refused("server", "start", "--config", str(config), "--role", "frontend")
    assert sentence.startswith("Error: a node without history, matching, worker cannot run")
