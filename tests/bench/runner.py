"""The rounds: for each scenario the targets A B C, A B C, each on a freshly started server.

One server and one load generator run at a time. A fresh server makes memory comparable and leaves
nothing of one measurement to the next.
"""

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.certificates import make_certificates
from bench.database import Database, running_database
from bench.errors import BenchError
from bench.measurement import START, Measurement
from bench.processes import free_port, running, tail
from bench.profiler import processes_of, profiled
from bench.results import Sample
from bench.scenarios import Scenario
from bench.targets import Place, Target, command


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the benchmark.

    Attributes:
        scenarios: Scenarios, in order.
        targets: Servers, in the order of each round.
        rounds: Rounds of every scenario.
        in_flight: Workflows in flight in the loaded phase.
        profiles: Directory for profiles of Perdure, or None for no profiling.
    """

    scenarios: Sequence[Scenario]
    targets: Sequence[Target]
    rounds: int
    in_flight: int
    profiles: Path | None

    def steps(self) -> Iterator["Step"]:
        """Every measurement, in order."""
        rounds = range(1, self.rounds + 1)
        for each in itertools.product(self.scenarios, rounds, self.targets):
            yield Step(*each)


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement to make."""

    scenario: Scenario
    round: int
    target: Target


class Observer(Protocol):
    """Who is told how far the run has come."""

    def begin(self, step: Step) -> None:
        """A measurement begins."""

    def advance(self, phase: str, done: int, total: int) -> None:
        """Workflows of a phase of the current measurement are done."""

    def end(self) -> None:
        """The current measurement is over."""


def run(plan: Plan, observer: Observer) -> list[Sample]:
    """Make every measurement of a plan.

    Raises:
        BenchError: A server or the load generator failed; nothing is left running.
    """
    samples = []
    for step in plan.steps():
        observer.begin(step)
        try:
            measurement = _measure(plan, step, observer)
        except BenchError as error:
            msg = f"{step.target}, scenario {step.scenario.name}, round {step.round}: {error}"
            raise BenchError(msg) from error
        samples.append(Sample(step.scenario.name, step.target, step.round, measurement))
        observer.end()
    return samples


def _measure(plan: Plan, step: Step, observer: Observer) -> Measurement:
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as name, contextlib.ExitStack() as up:
        directory = Path(name)
        needed = step.target.needs_database
        database = up.enter_context(running_database()) if needed else None
        place = Place(
            port=free_port(),
            directory=directory,
            scenario=step.scenario,
            dsn="" if database is None else database.dsn,
            certificates=(
                make_certificates(directory / "tls") if step.target.needs_certificates else None
            ),
        )
        log = directory / "server.log"
        server = up.enter_context(running(command(step.target, place), log=log))
        generator_log = directory / "generator.log"
        generator = up.enter_context(
            running(
                _generator(place, server.pid, plan.in_flight, database),
                log=generator_log,
                stdout=subprocess.PIPE,
            )
        )

        def on_ready() -> None:
            if plan.profiles is None or not step.target.is_perdure:
                return
            for process, pid in processes_of(server.pid).items():
                output = profile_path(plan.profiles, step, process)
                profiler_log = directory / f"profiler-{process}.log"
                up.enter_context(profiled(pid, output=output, log=profiler_log))

        try:
            return _read(generator, observer, on_ready)
        except BenchError as error:
            logs = [text for text in (tail(log), tail(generator_log)) if text]
            raise BenchError("\n".join([str(error), *logs])) from error


def profile_path(directory: Path, step: Step, process: str) -> Path:
    """Where the profile of a process of a measurement is written."""
    return directory / f"{step.scenario.name}-{step.target}-{process}-{step.round}.txt"


def _generator(
    place: Place, server_pid: int, in_flight: int, database: Database | None
) -> list[str]:
    options: dict[str, object] = {
        "--address": f"127.0.0.1:{place.port}",
        "--server-pid": server_pid,
        "--scenario": place.scenario.name,
        "--alone": place.scenario.alone,
        "--loaded": place.scenario.loaded,
        "--in-flight": in_flight,
    }
    if place.certificates is not None:
        options["--certificates"] = place.certificates.folder
    if database is not None:
        options |= {"--database-pid": database.pid, "--dsn": database.dsn}
    words = [str(word) for pair in options.items() for word in pair]
    return [sys.executable, "-m", "bench.generator", *words]


def _read(
    generator: subprocess.Popen[str], observer: Observer, on_ready: Callable[[], None]
) -> Measurement:
    """Follow the lines of the load generator to its measurement."""
    assert generator.stdout is not None
    phase = START
    for text in generator.stdout:
        line: dict[str, Any] = json.loads(text)
        if "error" in line:
            raise BenchError(line["error"])
        if "measurement" in line:
            return Measurement.from_json(line["measurement"])
        if phase == START and line["phase"] != START:
            on_ready()
        phase = line["phase"]
        observer.advance(phase, line["done"], line["total"])
    msg = f"the load generator ended with code {generator.wait()} and without a measurement"
    raise BenchError(msg)
