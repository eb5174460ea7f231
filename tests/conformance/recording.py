"""The observations of one scenario run, and the file that keeps those of the real server."""

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any as Json
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from temporalio.api.history.v1 import HistoryEvent
from temporalio.service import RPCError

from conformance.failures import failure_of_call, failure_of_sdk
from conformance.normalise import Normaliser

RECORDED = Path(__file__).parent / "recorded"
"""Where the answers of the real server are."""

_WIDTH = 100
_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class Recording:
    """Named, normalised observations in the order in which they were made."""

    normaliser: Normaliser
    steps: dict[str, Json] = field(default_factory=dict)

    def note(self, step: str, value: Json) -> None:
        """Records a plain value, a message, a failure, or a structure of them."""
        assert step not in self.steps, f"step {step!r} was recorded already"
        self.steps[step] = self.normaliser.plain(value)

    def events(self, step: str, events: Iterable[HistoryEvent]) -> None:
        """Records history events with all their attributes."""
        assert step not in self.steps, f"step {step!r} was recorded already"
        self.steps[step] = self.normaliser.events(events)

    async def call(
        self,
        step: str,
        answer: Awaitable[_Answer],
        *,
        show: Callable[[_Answer], Json] | None = None,
    ) -> _Answer | None:
        """Awaits an RPC and records its answer or failure; returns None for a failure.

        `show` picks what is recorded of an answer, where a table of calls would be too long.
        """
        try:
            result = await answer
        except grpc.aio.AioRpcError as error:
            self.note(step, failure_of_call(error))
            return None
        except RPCError as error:
            self.note(step, failure_of_sdk(error))
            return None
        self.note(step, _or_ok(result) if show is None else show(result))
        return result


@dataclass(slots=True, frozen=True)
class RecordedAnswers:
    """What the real server answered, and which versions of it and of the SDK."""

    server: str
    sdk: str
    steps: dict[str, Json]

    @classmethod
    def load(cls, scenario: str) -> "RecordedAnswers":
        """Reads the committed recording; FileNotFoundError when there is none yet."""
        content = json.loads((RECORDED / f"{scenario}.json").read_text())
        return cls(content["server"], content["sdk"], content["steps"])

    def save(self, scenario: str) -> None:
        """Writes the file that `load` reads."""
        content = {"server": self.server, "sdk": self.sdk, "steps": self.steps}
        RECORDED.mkdir(exist_ok=True)
        (RECORDED / f"{scenario}.json").write_text(pretty(content) + "\n")


def pretty(value: Json, indent: str = "", taken: int = 0) -> str:
    """Returns JSON in which whatever fits a line stands on one: small and easy to compare.

    `taken` is how many columns of the first line are in use already.
    """
    flat = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, (dict, list)) or taken + len(flat) < _WIDTH:
        return flat
    inner = indent + "  "
    if isinstance(value, dict):
        names = {key: f"{inner}{json.dumps(key, ensure_ascii=False)}: " for key in value}
        items = [name + pretty(value[key], inner, len(name)) for key, name in names.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    items = [inner + pretty(item, inner, len(inner)) for item in value]
    return "[\n" + ",\n".join(items) + f"\n{indent}]"


def _or_ok(result: object) -> Json:
    if isinstance(result, Message) and not result.ListFields():
        return "OK"
    return result
