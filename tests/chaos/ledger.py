"""What the load was promised: kept in memory to be checked, and in a file for people."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

LEDGER_FILE = "ledger.jsonl"
SLOW_SECONDS = 1.0
"""A call that takes longer shows that the cluster has not recovered."""
LONG_POLLS = frozenset({"result"})
"""Calls that wait for something to happen: how long says nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the SDK that has ended; times are the event loop's, in seconds."""

    kind: str
    began: float
    ended: float
    error: str = ""

    @property
    def disturbed(self) -> bool:
        """Whether it failed or was slow."""
        slow = self.ended - self.began > SLOW_SECONDS and self.kind not in LONG_POLLS
        return bool(self.error) or slow


@dataclass(slots=True)
class OrderEntry:
    """What is known of one workflow.

    Attributes:
        number: Its input.
        run_id: Of the run that the server said it started; empty when only a later call found it.
        acknowledged: Whether the server acknowledged the start.
        signals: Sendings "number.sending" that were acknowledged.
        result: What the SDK returned; None until then.
    """

    number: int
    run_id: str = ""
    acknowledged: bool = False
    signals: set[str] = field(default_factory=set)
    result: int | None = None
    began: float = 0.0
    ended: float = 0.0


class Ledger:
    """Everything that was acknowledged, and every call.

    Attributes:
        orders: By workflow id.
        calls: In the order in which they ended.
        stale: Queries whose answer was older than a signal acknowledged before.
    """

    def __init__(self, folder: Path) -> None:
        self.orders: dict[str, OrderEntry] = {}
        self.calls: list[Call] = []
        self.stale: list[str] = []
        self._file: TextIO = (folder / LEDGER_FILE).open("w", encoding="utf-8")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def called(self, call: Call, workflow_id: str) -> None:
        """Notes a call that has ended."""
        self.calls.append(call)
        self._write(
            call=call.kind,
            workflow=workflow_id,
            began=round(call.began, 3),
            seconds=round(call.ended - call.began, 3),
            error=call.error,
        )

    def started(self, workflow_id: str, run_id: str) -> None:
        """Notes an acknowledged start."""
        entry = self.orders[workflow_id]
        entry.acknowledged, entry.run_id = True, run_id
        self._write(started=workflow_id, run=run_id)

    def signalled(self, workflow_id: str, sending: str) -> None:
        """Notes an acknowledged signal."""
        self.orders[workflow_id].signals.add(sending)
        self._write(signalled=workflow_id, sending=sending)

    def completed(self, workflow_id: str, result: int, at: float) -> None:
        """Notes a result that the SDK returned."""
        entry = self.orders[workflow_id]
        entry.result, entry.ended = result, at
        self._write(completed=workflow_id, result=result)

    def open(self) -> list[str]:
        """The workflows without a result."""
        return [id_ for id_, entry in self.orders.items() if entry.result is None]

    def failures(self) -> Counter[str]:
        """Calls that raised, by kind and error."""
        return Counter(f"{call.kind}: {call.error}" for call in self.calls if call.error)

    def _write(self, **fields: object) -> None:
        self._file.write(json.dumps(fields) + "\n")
        self._file.flush()
