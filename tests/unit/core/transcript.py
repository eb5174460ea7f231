"""Transcripts: what is done to a workflow, and what the engine makes of it, as text to be read.

A transcript is a file of blocks. A block's first lines are what is done, one call a line; under
`----` stands what came of it: events with their ids and times, `+` and `-` for rows of tasks,
timers and messages that come and go, `buffered` for events that wait, and what a caller was
answered. Rules that hold here: nothing in a transcript depends on a clock or on chance; a line
`# as recorded: SCENARIO/STEP` says that the events of the last run are those that the real server
wrote there.

After a change that is meant: `pytest tests/unit/core --rewrite`, then read the diff.
"""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution

from conformance.commands import (
    cancel_activity,
    cancel_external,
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    schedule_activity,
    signal_external,
    start_timer,
)
from conformance.driver import application_failure, payloads
from perdure.core.commit import TaskType
from perdure.core.errors import ServiceError
from perdure.core.protobuf import seconds
from perdure.proto import stored_pb2 as stored
from unit.core.checks import Checker
from unit.core.driver import QUEUE, STICKY_QUEUE, Driver, Taken, message_to
from unit.core.rendering import Changes

FOLDER = Path(__file__).with_name("transcripts")
SEPARATOR = "----"
RECORDED = "# as recorded: "
DURATIONS = frozenset(
    {
        "initial_interval",
        "next_retry_delay",
        "workflow_execution_timeout",
        "workflow_run_timeout",
        "workflow_task_timeout",
        "backoff_start_interval",
        "schedule_to_close_timeout",
        "schedule_to_start_timeout",
        "start_to_close_timeout",
        "heartbeat_timeout",
    }
)
RETRY_POLICY = frozenset({"initial_interval", "maximum_attempts", "backoff_coefficient"})


@dataclass(slots=True)
class Block:
    """What is done, and what is expected to come of it; comments stand before it."""

    comments: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    outcome: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Returns the block as it is written."""
        return "\n".join([*self.comments, *self.calls, SEPARATOR, *self.outcome]) + "\n"


def parse(text: str) -> Iterator[Block]:
    """Yields the blocks of a transcript, which are separated by empty lines."""
    for part in text.strip().split("\n\n"):
        lines = part.splitlines()
        comments = [line for line in lines if line.startswith("#")]
        rest = [line for line in lines if not line.startswith("#")]
        end = rest.index(SEPARATOR)
        yield Block(comments, rest[:end], rest[end + 1 :])


def play(text: str) -> tuple[str, Driver]:
    """Returns a transcript with the outcome that there is now, and the driver it leaves."""
    player = Player()
    blocks = [
        Block(block.comments, block.calls, player.play(block.calls)).text() for block in parse(text)
    ]
    return "\n".join(blocks), player.driver


class Player:
    """Does what the lines of a transcript say."""

    def __init__(self) -> None:
        self.driver = Driver()
        self._changes = Changes(self.driver)
        self._checker = Checker(self.driver)
        self._tasks: list[Taken] = []
        self._activities: dict[str, Taken] = {}

    def play(self, lines: list[str]) -> list[str]:
        """Does a block's calls, and returns what came of them."""
        outcome: list[str] = []
        for call in _joined(lines):
            try:
                answer = self._call(call)
            except ServiceError as error:
                answer = f"{error.code.name}: {error.message}"
            for taken in self.driver.fused:
                self._hold(taken)
            self.driver.fused.clear()
            self._checker.check()
            outcome += self._changes.since()
            if answer:
                outcome.append(f"=> {answer}")
        return outcome

    def _hold(self, taken: Taken) -> None:
        if taken.task.key.queue.task_type is TaskType.WORKFLOW:
            self._tasks.append(taken)
        else:
            self._activities[taken.token.activity_id] = taken

    def _call(self, lines: list[str]) -> str | None:
        name, *arguments = shlex.split(lines[0])
        method: Callable[..., str | None] = getattr(self, f"_do_{name}")
        if len(lines) > 1:
            return method([_command(line) for line in lines[1:]], **_fields(arguments))
        return method(**_fields(arguments))

    # Clients and time

    def _do_start(self, **fields: Any) -> str:
        result = self.driver.start(**_with_policy(fields))
        return f"{result.run_id} started={result.started}"

    def _do_signal(self, name: str, request_id: str = "") -> None:
        self.driver.signal(name, request_id)

    def _do_cancel(self) -> None:
        self.driver.request_cancel()

    def _do_terminate(self) -> None:
        self.driver.terminate()

    def _do_advance(self, by: float) -> None:
        self.driver.advance(seconds(by))

    def _do_restart(self) -> None:
        self.driver.forget()

    def _do_answer(self, outcome: str) -> None:
        value = stored.Receipt.Outcome.Value(f"OUTCOME_{outcome}")
        self.driver.answer(self.driver.outbox[0], value)

    def _do_receive(self, **fields: Any) -> str:
        receipt = self.driver.receive(message_to(**fields))
        return stored.Receipt.Outcome.Name(receipt.outcome).removeprefix("OUTCOME_")

    def _do_sticky_worker(self, polls: bool) -> None:
        self.driver.sticky_pollers = {STICKY_QUEUE} if polls else set()

    # Workers

    def _do_pollers_wait(self, kind: str) -> None:
        self.driver.fuse(*([TaskType[kind.upper()]] if kind != "none" else []))

    def _do_take(self) -> str:
        taken = self.driver.take_workflow_task()
        self._tasks.append(taken)
        return f"attempt {self.driver.run(taken.token.run_id).state.workflow_task.attempt}"

    def _do_complete(
        self,
        commands: list[Command] | None = None,
        *,
        sticky: bool = False,
        which: int = -1,
        **fields: Any,
    ) -> str:
        answer = self.driver.respond(self._tasks[which], commands or [], sticky=sticky, **fields)
        for taken in [*answer.eager, *([answer.task] if answer.task else [])]:
            self._hold(taken)
        return answer.problem

    def _do_fail(self, which: int = -1) -> None:
        self.driver.fail(self._tasks[which])

    def _do_poller_was_gone(self, activity: str = "") -> None:
        self.driver.undo_start(self._activities[activity] if activity else self._tasks[-1])

    def _do_take_activity(self) -> str:
        taken = self.driver.take_activity()
        self._hold(taken)
        return f"{taken.token.activity_id} attempt {taken.token.attempt}"

    def _do_complete_activity(self, id: str, by: str = "token") -> None:  # noqa: A002
        self.driver.complete_activity(self._target(id, by), payloads("result"))

    def _do_fail_activity(
        self,
        id: str,  # noqa: A002 - as transcripts write it
        by: str = "token",
        **fields: Any,
    ) -> None:
        self.driver.fail_activity(self._target(id, by), application_failure("broken", **fields))

    def _do_cancel_activity(self, id: str, by: str = "token") -> None:  # noqa: A002
        self.driver.cancel_activity(self._target(id, by))

    def _do_heartbeat(self, id: str, details: str = "") -> str:  # noqa: A002
        told = self.driver.heartbeat(self._activities[id], payloads(details) if details else None)
        return f"cancel requested={told.cancel_requested}"

    def _target(self, activity_id: str, by: str) -> Taken | str:
        return activity_id if by == "id" else self._activities[activity_id]


def _joined(lines: list[str]) -> Iterator[list[str]]:
    """Yields calls: a line, and the indented ones that follow it."""
    call: list[str] = []
    for line in lines:
        if call and not line.startswith(" "):
            yield call
            call = []
        call.append(line)
    yield call


def _command(line: str) -> Command:  # noqa: C901, PLR0911 - a case for each command
    name, *arguments = shlex.split(line)
    fields = _fields(arguments)
    match name:
        case "activity":
            return schedule_activity(fields.pop("id"), QUEUE, **_with_policy(fields))
        case "cancel_activity":
            return cancel_activity(fields["event"])
        case "timer":
            return start_timer(fields["id"], fields["after"])
        case "cancel_timer":
            return cancel_timer(fields["id"])
        case "signal_external":
            return signal_external(WorkflowExecution(workflow_id=fields["to"]))
        case "cancel_external":
            return cancel_external(WorkflowExecution(workflow_id=fields["to"]))
        case "marker":
            return record_marker(fields["name"])
        case "complete":
            return complete_workflow(**fields)
        case "fail":
            return fail_workflow(application_failure("broken", **fields))
        case "cancel":
            return cancel_workflow()
        case "continue_as_new":
            return continue_as_new(QUEUE, **_with_policy(fields))
    raise AssertionError(f"no such command: {name}")


def _fields(arguments: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for argument in arguments:
        name, _, text = argument.partition("=")
        value = _value(text)
        if name in DURATIONS:
            value = {"seconds": int(value), "nanos": round(value % 1 * 1e9)}
        fields[name] = value
    return fields


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    number = text.removesuffix("s")
    if number.lstrip("-").isdecimal():
        return int(number)
    if number.replace(".", "", 1).isdecimal():
        return float(number)
    return text


def _with_policy(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields with those of a retry policy where they belong."""
    policy = {name: fields[name] for name in RETRY_POLICY if name in fields}
    others = {name: value for name, value in fields.items() if name not in RETRY_POLICY}
    return others | ({"retry_policy": policy} if policy else {})
