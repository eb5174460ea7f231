"""The `temporal` CLI as people and scripts use it: runs command lines and records what they print.

A step is named by its command line, so that a recording reads as a session at a terminal and
`report.py` can tell which commands it holds. What people read is kept as the words of each line:
how wide a column is depends on the length of this run's ids, and is the CLI's own doing.
"""

import asyncio
import getpass
import json
import re
import shlex
from collections.abc import Iterable
from typing import Any, NamedTuple

from temporalio.api.history.v1 import HistoryEvent

from conformance.recording import Recording
from conformance.scenario import ScenarioEnv
from conformance.targets import oracle_command

PROGRAM = "temporal"
AS_JSON = "-o json"

_IDENTITY = re.compile(r"temporal-cli:\S+?@[^\s\"',]+")
_USER = re.compile(rf"\b(by|from|user) {re.escape(getpass.getuser())}\b")
_AGO = re.compile(
    r"(?:in )?\d+ (?:second|minute|hour|day|week|month|year)s?(?: ago| from now)?|\bnow\b"
)
_MEASURED = re.compile(
    r"\b(RunTime|Run Time|HistorySize|StateTransitionCount|taskId:|historySizeBytes:) \S+"
)
"""What no two runs share, after the name it is printed under."""

_TRACED = re.compile(r"\((?:\d+(?:\.\d+)?(?:[hmsµn]|ms))+\)")
"""How long something took, in the lines of `workflow trace`."""

_BUILD_IDS = re.compile(r'BuildIds:metadata:\{[^}]*\} metadata:\{[^}]*\} data:"[^\]]*\][^"]*" ?')
"""The search attribute that is not there by a named deviation, which `-o json` shows; for people
it is one of a line's words, or the line."""

_NO_ATTRIBUTES = "SearchAttributes map[]"

UNLIKE = {
    "currentRetryInterval": "<interval>",
    "historySizeBytes": "<size>",
    "executionDuration": "<duration>",
    "durationMillis": "<duration>",
    "taskId": "<task id>",
    "eventTime": "<time>",
    "conflictToken": "<token>",
}
"""Values that no two runs share, by the names that the CLI prints them under as JSON."""

_UNORDERED = frozenset({"stats", "reachability", "pollers"})
"""Lists that the CLI prints in the order of a hash map."""

_GIVEN = (
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"-deleted-\w+"), "-deleted-<id>"),
)
"""Ports and suffixes that a server picks."""


class Printed(NamedTuple):
    """What a command printed before it ended with an exit code."""

    code: int
    output: str
    errors: str

    @property
    def is_json(self) -> bool:
        """Whether the output looks like JSON, which an error's does not."""
        return self.output[:1] in {"{", "["}

    def json(self) -> Any:
        """Returns the output as JSON; a list for several values, None where nothing was printed."""
        decoder, values, rest = json.JSONDecoder(), [], self.output.strip()
        while rest:
            value, end = decoder.raw_decode(rest)
            values.append(value)
            rest = rest[end:].strip()
        return values if len(values) > 1 else next(iter(values), None)


async def execute(env: ScenarioEnv, *arguments: str) -> Printed:
    """Runs the CLI against the server, without a terminal, a configuration or an input."""
    process = await asyncio.create_subprocess_exec(
        *oracle_command(),
        *arguments,
        f"--address={env.address}",
        "--disable-config-file",
        "--color=never",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    code = process.returncode
    assert code is not None, "a process that has ended has an exit code"
    return Printed(code, output.decode().strip(), errors.decode().strip())


class Terminal:
    """Runs command lines for one scenario and records each as a step."""

    __slots__ = ("_env", "_record")

    def __init__(self, env: ScenarioEnv, record: Recording) -> None:
        self._env = env
        self._record = record

    async def text(self, line: str, *, unordered: bool = False) -> Printed:
        """Runs `temporal LINE`; `unordered` sorts what it printed by lines."""
        return await self._run(line, unordered=unordered)

    async def json(self, line: str, *, unordered: bool = False) -> Printed:
        """Runs `temporal LINE -o json`; `unordered` sorts the list that it printed."""
        return await self._run(f"{line} {AS_JSON}", unordered=unordered)

    async def both(self, line: str, *, unordered: bool = False) -> None:
        """Runs a command for people, then again for scripts."""
        await self.text(line, unordered=unordered)
        await self.json(line, unordered=unordered)

    def events(self, step: str, events: Iterable[HistoryEvent]) -> None:
        """Records history events that commands of the CLI have caused."""
        self._record.note(step, alike(self._record.normaliser.events(events)))

    async def _run(self, line: str, *, unordered: bool) -> Printed:
        printed = await execute(self._env, *shlex.split(line))
        shown = alike(printed.json()) if printed.is_json else words(printed.output)
        if unordered:
            shown = sorted(shown, key=str)
        value = {"exit": printed.code, "stdout": shown, "stderr": words(printed.errors)}
        self._record.note(self._step(line), {key: item for key, item in value.items() if item})
        return printed

    def _step(self, line: str) -> str:
        named = self._record.normaliser.text(f"{PROGRAM} {line}")
        step, count = named, 1
        while step in self._record.steps:
            count += 1
            step = f"{named} ({count})"
        return step


def words(text: str) -> list[str]:
    """Returns the lines of a text without what no two runs share and without their columns.

    How a command is used, which the CLI tells where a flag is wrong, is cut to one word.
    """
    told, _, usage = text.partition("Usage:\n")
    lines = [_plain(" ".join(line.split())) for line in told.splitlines()]
    return [line for line in lines if line != _NO_ATTRIBUTES] + ["<usage>"] * bool(usage)


def alike(value: Any) -> Any:
    """Returns JSON that the CLI printed without what no two runs share."""
    if isinstance(value, dict):
        return {key: UNLIKE.get(key) or _in_order(key, alike(item)) for key, item in value.items()}
    if isinstance(value, list):
        return [alike(item) for item in value]
    return _plain(value) if isinstance(value, str) else value


def _in_order(key: str, value: Any) -> Any:
    return sorted(value, key=str) if key in _UNORDERED and value else value


def _plain(text: str) -> str:
    text = _IDENTITY.sub("temporal-cli:<user>@<host>", text)
    text = _TRACED.sub("(<duration>)", _BUILD_IDS.sub("", text))
    for pattern, shown in _GIVEN:
        text = pattern.sub(shown, text)
    text = _USER.sub(r"\1 <user>", text)
    return _AGO.sub("<ago>", _MEASURED.sub(r"\1 <unlike>", text))
