"""Sessions at a terminal are compared by what a server decides, and hold every command."""

import subprocess

from conformance.recording import RecordedAnswers
from conformance.scenarios import load
from conformance.targets import oracle_command
from conformance.terminal import Printed, alike, words
from conformance.terminal_commands import COMMANDS, GROUPS, command_of


def test_words_of_what_people_read() -> None:
    text = """
      StartTime     12 seconds ago   at 127.0.0.1:4711
      SearchAttributes  map[BuildIds:metadata:{key:"encoding" value:"json/plain"} \
metadata:{key:"type" value:"KeywordList"} data:"[\\"unversioned\\"]"]
    ✓ Work (1.5s)
    """.strip()
    assert words(text) == ["StartTime <ago> at <address>", "✓ Work (<duration>)"]


def test_usage_is_cut_to_a_word() -> None:
    assert words("Error: wrong\nUsage:\n  temporal x\n  --y") == ["Error: wrong", "<usage>"]


def test_json_without_what_no_two_runs_share() -> None:
    printed = {"taskId": "7", "stats": [{"type": "b"}, {"type": "a"}], "name": "kept"}
    expected = {"taskId": "<task id>", "stats": [{"type": "a"}, {"type": "b"}], "name": "kept"}
    assert alike(printed) == expected


def test_several_json_values_are_a_list() -> None:
    assert Printed(0, '{"a": 1}\n{"a": 2}', "").json() == [{"a": 1}, {"a": 2}]
    assert Printed(0, "", "").json() is None


def test_command_of_a_step() -> None:
    assert command_of("temporal workflow reset --event-id=4 -o json") == "workflow reset"
    longest = "workflow reset with-workflow-update-options"
    assert command_of(f"temporal {longest} --reason=why") == longest
    assert command_of("history") is None


def test_every_command_has_been_run() -> None:
    steps = (step for name in load() for step in RecordedAnswers.load(name).steps)
    assert {command_of(step) for step in steps} - {None} == set(COMMANDS)


def test_the_commands_are_those_of_the_installed_cli() -> None:
    listed = {command for group in GROUPS for command in _subcommands(group)}
    known = {f"{group} {name}" for group, names in GROUPS.items() for name in names.split()}
    assert listed - set(GROUPS) <= known
    assert known - listed == set()


def _subcommands(group: str) -> list[str]:
    command = [*oracle_command(), *group.split(), "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    listing = text.partition("Available Commands:\n")[2].partition("\n\n")[0]
    return [f"{group} {line.split()[0]}" for line in listing.splitlines()]
