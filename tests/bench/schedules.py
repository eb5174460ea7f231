"""`bench --schedules`: what a hundred thousand idle schedules cost.

Perdure runs on SQLite in one process. It is started over nothing and left alone for a while; then
schedules are created that are due in many years; then it is started anew over them and left alone
again. What it takes then, above what it took over nothing, is the schedules'. Last, one of them is
made to be due in a moment, and must start its workflow then.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc.aio
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.schedule.v1 import message_pb2 as schedule
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from bench.backlog import Check
from bench.errors import BenchError
from bench.generator import wait_until_ready
from bench.processes import free_port, running, tail
from bench.rpcs import METADATA, SERVICE, Rpcs
from bench.scenarios import BY_NAME
from bench.tables import markdown_lines
from bench.targets import NAMESPACE, Place, Target, command
from bench.usage import MIB, Meter, resident_bytes

T = TypeVar("T")

ROWS: Final = 100_000
QUICK_ROWS: Final = 2_000
IN_FLIGHT: Final = 50
FAR_YEAR: Final = "2090"

SETTLE_S: Final = 10.0
WINDOW_S: Final = 60.0
"""Twice as long as the longest pause between two looks of a server at what is due."""
QUICK_SHARE: Final = 1 / 10

AHEAD_S: Final = 5
LATEST_S: Final = 30.0
PAUSE_S: Final = 0.1

MAX_CPU_MS_PER_S: Final = 2.0
MAX_MEMORY_MIB: Final = 20.0
MAX_CREATED_MIB: Final = 400.0
"""The cache of runs may take 256 MiB, and what it drops leaves gaps."""
MAX_START_S: Final = 1.0
MAX_DELAY_MS: Final = 250.0


@dataclass(frozen=True, slots=True)
class Idle:
    """A server that was started and left alone.

    Attributes:
        schedules: Schedules that it had.
        started_s: How long it took until it served.
        cpu_ms_per_s: Processor time for each second of being left alone.
        resident_mib: Resident memory at the end.
    """

    schedules: int
    started_s: float
    cpu_ms_per_s: float
    resident_mib: float


@dataclass(frozen=True, slots=True)
class SchedulesReport:
    """What was found.

    Attributes:
        empty: The server over nothing.
        full: The server over all schedules.
        created_s: How long it took to create them.
        created_mib: Resident memory of the server that had created them: its cache is full.
        delay_ms: How late the one that was due has started its workflow.
    """

    empty: Idle
    full: Idle
    created_s: float
    created_mib: float
    delay_ms: float

    def checks(self) -> list[Check]:
        """The gates, on these numbers."""
        empty, full = self.empty, self.full
        cpu = full.cpu_ms_per_s - empty.cpu_ms_per_s
        memory = full.resident_mib - empty.resident_mib
        created = self.created_mib - empty.resident_mib
        start = full.started_s - empty.started_s
        return [
            Check("ms of CPU per s, idle schedules above none", cpu, MAX_CPU_MS_PER_S),
            Check("MiB, idle schedules above none", memory, MAX_MEMORY_MIB),
            Check("MiB once they are created, above none", created, MAX_CREATED_MIB),
            Check("s until it serves, idle schedules above none", start, MAX_START_S),
            Check("ms late, the one that is due", self.delay_ms, MAX_DELAY_MS),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as an object of plain values."""
        checks = [{**asdict(check), "passed": check.passed} for check in self.checks()]
        return {**asdict(self), "gates": checks}

    def to_markdown(self) -> str:
        """The report as text for a Markdown page."""
        gates = "\n".join(f"- {check.line()}" for check in self.checks())
        lines = [HEADINGS, RULES, _cells(self.empty), _cells(self.full)]
        return "\n\n".join([self._origin(), markdown_lines(lines), LEGEND, gates])

    def _origin(self) -> str:
        rate = self.full.schedules / self.created_s
        return (
            f"{self.full.schedules:,} schedules that are due in many years, created in "
            f"{self.created_s:.0f} s ({rate:.0f} per s); the server that created them, with its "
            f"cache of runs, had {self.created_mib:.0f} MiB then. One that was made to be due "
            f"started its workflow {self.delay_ms:.0f} ms late."
        )


HEADINGS = ("schedules", "serves after s", "CPU ms per s", "MiB")
RULES = ("---:",) * len(HEADINGS)
LEGEND = (
    "CPU ms per s: processor time of the server that is left alone, for each second. MiB: its "
    "resident memory then."
)


def _cells(idle: Idle) -> Sequence[str]:
    return (
        f"{idle.schedules:,}",
        f"{idle.started_s:.1f}",
        f"{idle.cpu_ms_per_s:.2f}",
        f"{idle.resident_mib:.0f}",
    )


def run(rows: int, say: Callable[[str], None], *, is_quick: bool = False) -> SchedulesReport:
    """Measure.

    Args:
        rows: Schedules.
        say: Told how far the run has come.
        is_quick: Whether the server is watched for a short while only.

    Raises:
        BenchError: The server failed, or a schedule was not started; nothing is left running.
    """
    share = QUICK_SHARE if is_quick else 1.0
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as directory:
        return asyncio.run(_Run(rows, share, Path(directory), say).all())


class _Run:
    """One database, on which the servers follow each other."""

    def __init__(
        self, rows: int, share: float, directory: Path, say: Callable[[str], None]
    ) -> None:
        self._rows = rows
        self._share = share
        self._directory = directory
        self._say = say

    async def all(self) -> SchedulesReport:
        async def create(server: _Server) -> tuple[Idle, float, float]:
            empty = await self._idle(server, 0)
            created_s = await self._create(server)
            return empty, created_s, resident_bytes(server.pid) / MIB

        async def fire(server: _Server) -> tuple[Idle, float]:
            return await self._idle(server, self._rows), await _delay_ms(server)

        empty, created_s, created_mib = await self._serving(create)
        full, delay_ms = await self._serving(fire)
        return SchedulesReport(empty, full, created_s, created_mib, delay_ms)

    async def _serving(self, act: "Callable[[_Server], Awaitable[T]]") -> T:
        place = Place(port=free_port(), directory=self._directory, scenario=BY_NAME["empty"])
        log = self._directory / "server.log"
        began = time.perf_counter()
        with running(command(Target.PERDURE, place), log=log) as process:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{place.port}") as channel:
                try:
                    await wait_until_ready(Rpcs(channel), process.pid)
                    started_s = time.perf_counter() - began
                    return await act(_Server(process.pid, channel, started_s))
                except (BenchError, grpc.aio.AioRpcError) as error:
                    raise BenchError("\n".join([str(error), tail(log)])) from error

    async def _idle(self, server: "_Server", schedules: int) -> Idle:
        self._say(f"leaving a server over {schedules:,} schedules alone")
        await asyncio.sleep(SETTLE_S * self._share)
        meter = Meter(server.pid)
        await asyncio.sleep(WINDOW_S * self._share)
        usage = meter.read()
        return Idle(
            schedules=schedules,
            started_s=server.started_s,
            cpu_ms_per_s=usage.server_cpu_s * 1e3 / usage.wall_s,
            resident_mib=resident_bytes(server.pid) / MIB,
        )

    async def _create(self, server: "_Server") -> float:
        began = time.perf_counter()
        turns = iter(range(self._rows))

        async def lane() -> None:
            for number in turns:
                await server.create(number)
                if (number + 1) % (self._rows // 10) == 0:
                    self._say(f"{number + 1:,} of {self._rows:,} schedules are created")

        async with asyncio.TaskGroup() as lanes:
            for _ in range(IN_FLIGHT):
                lanes.create_task(lane())
        return time.perf_counter() - began


class _Server:
    """A running server, and what is asked of its schedules."""

    def __init__(self, pid: int, channel: grpc.aio.Channel, started_s: float) -> None:
        self.pid = pid
        self.started_s = started_s
        self._channel = channel

    async def create(self, number: int) -> None:
        """Creates a schedule that is not due for long."""
        request = wf.CreateScheduleRequest(
            namespace=NAMESPACE,
            schedule_id=_schedule_id(number),
            request_id=_schedule_id(number),
            identity="bench",
            schedule=_definition(number, schedule.CalendarSpec(year=FAR_YEAR)),
        )
        await self._call("CreateSchedule", request)

    async def make_due(self, number: int, when: datetime) -> None:
        """Has a schedule start its workflow at a second."""
        fields = ("second", "minute", "hour", "day_of_month", "month", "year")
        shown = (when.second, when.minute, when.hour, when.day, when.month, when.year)
        calendar = schedule.CalendarSpec(
            **{field: str(value) for field, value in zip(fields, shown, strict=True)}
        )
        request = wf.UpdateScheduleRequest(
            namespace=NAMESPACE,
            schedule_id=_schedule_id(number),
            request_id=f"due-{number}",
            identity="bench",
            schedule=_definition(number, calendar),
        )
        await self._call("UpdateSchedule", request)

    async def actions(self, number: int) -> Sequence[schedule.ScheduleActionResult]:
        """Returns what a schedule has started."""
        request = wf.DescribeScheduleRequest(namespace=NAMESPACE, schedule_id=_schedule_id(number))
        answer = await self._call("DescribeSchedule", request)
        return wf.DescribeScheduleResponse.FromString(answer).info.recent_actions

    async def _call(self, method: str, request: Message) -> bytes:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        call = self._channel.unary_unary(f"/{SERVICE}/{method}")
        return await call(request.SerializeToString(), metadata=METADATA, timeout=30.0)


def _schedule_id(number: int) -> str:
    return f"bench-{number:06d}"


def _definition(number: int, calendar: schedule.CalendarSpec) -> schedule.Schedule:
    definition = schedule.Schedule(spec=schedule.ScheduleSpec(calendar=[calendar]))
    action = definition.action.start_workflow
    action.workflow_id = f"bench-workflow-{number:06d}"
    action.workflow_type.name = "Bench"
    action.task_queue.name = "bench-schedules"
    argument = action.input.payloads.add(data=json.dumps({"number": number}).encode())
    argument.metadata["encoding"] = b"json/plain"
    return definition


async def _delay_ms(server: _Server) -> float:
    """Makes a schedule due in a moment; returns how late it is started."""
    when = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=AHEAD_S)
    await server.make_due(0, when)
    deadline_s = time.monotonic() + AHEAD_S + LATEST_S
    while True:
        actions = await server.actions(0)
        if actions:
            (action,) = actions
            return _ms(action.actual_time) - when.timestamp() * 1e3
        if time.monotonic() > deadline_s:
            msg = f"the schedule that is due was not started within {LATEST_S:.0f} s"
            raise BenchError(msg)
        await asyncio.sleep(PAUSE_S)


def _ms(time_stamp: Timestamp) -> float:
    return time_stamp.ToNanoseconds() / 1e6
