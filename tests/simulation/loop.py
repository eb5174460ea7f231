"""An asyncio event loop on a virtual clock, in an order that one generator decides.

Theory of operation: callbacks that are ready run one at a time; when none is, time jumps to the
next timer. Callbacks belong to the process (a simulated machine, `PROCESS`) in whose context they
were scheduled. A process that is killed simply never runs again, as after kill -9: no `finally`
block of it, no `except`. One that is stopped, as by SIGSTOP, runs nothing until it goes on; then
all that has become due, in order. Rules that hold here:

- No threads, no I/O: what would need them raises NotImplementedError.
- asyncio wakes tasks first in, first out. The generator may break that (on another machine another
  task would have been faster), but the order of other callbacks, which is promised, stays.
- Tasks and futures hash to a number in order of creation, so that sets of them, which asyncio and
  others keep, iterate in the same order in every run.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, NamedTuple, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_STEPS = 1_000_000
MAX_STEPS_AT_ONE_MOMENT = 50_000


class SimulationError(Exception):
    """The simulated programs did what no program may do: they wait for ever, or spin."""


class Process:
    """What dies together: a simulated machine.

    Attributes:
        alive: Whether it has not been killed.
        stopped_until: The loop's time before which it runs nothing.
    """

    __slots__ = ("alive", "name", "stopped_until")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped_until = 0.0

    def context(self) -> Context:
        """Returns a context to start code of this process in."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return context


PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)
"""The process that the running code belongs to; None is the simulation itself."""


class _Future(asyncio.Future[Any]):
    """A future with a reproducible hash."""

    __eq__ = object.__eq__

    def __init__(self, *, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        """Returns its number in order of creation."""
        return self._number


class _Task(asyncio.Task[Any]):
    """A task with a reproducible hash."""

    __eq__ = object.__eq__

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        *,
        loop: asyncio.AbstractEventLoop,
        name: object,
        context: Context | None,
        number: int,
    ) -> None:
        # The base class files the task by its hash already.
        self._number = number
        super().__init__(coroutine, loop=loop, name=str(name or f"Task-{number}"), context=context)

    def __hash__(self) -> int:
        """Returns its number in order of creation."""
        return self._number


class _Ready(NamedTuple):
    """A callback whose time has come."""

    handle: asyncio.Handle
    process: Process | None
    wakes_task: bool


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop.

    Attributes:
        steps: How many callbacks have run.
        on_error: Called with what asyncio gives to an exception handler; raises unless replaced.
    """

    def __init__(self, *, generator: random.Random, reorder_probability: float = 0.0) -> None:
        self.steps = 0
        self.on_error: Callable[[dict[str, Any]], None] = self._stop_with_error
        self._generator = generator
        self._reorder_probability = reorder_probability
        self._now = 0.0
        self._ready: deque[_Ready] = deque()
        self._timers: list[tuple[float, int, _Ready]] = []
        self._tasks: dict[_Task, None] = {}
        self._created = 0
        self._steps_at_this_moment = 0
        self._running = False
        self._stopping = False
        self._closed = False
        self._error: BaseException | None = None
        super().__init__()

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Runs until the coroutine or future is done, and returns its result.

        Raises:
            SimulationError: Nothing is left to run, or time stands still; also what `on_error`
                raised.
        """
        task = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        task.add_done_callback(lambda _: self.stop())
        self.run_forever()
        if not task.done():
            raise SimulationError("the loop was stopped before the main task ended")
        return task.result()

    def run_forever(self) -> None:
        """Runs until `stop`."""
        assert not self._running
        assert not self._closed
        self._running = True
        asyncio._set_running_loop(self)
        try:
            while not self._stopping:
                self._run_one()
                if self._error is not None:
                    raise self._error
        finally:
            self._stopping = False
            self._running = False
            self._error = None
            asyncio._set_running_loop(None)

    def stop(self) -> None:
        """Makes `run_forever` return after the callback that runs now."""
        self._stopping = True

    def close(self) -> None:
        """Throws away what has not run, tasks of killed processes among it."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        asyncio._set_running_loop(self)
        try:
            for task in self._tasks:
                _bury(task)
        finally:
            asyncio._set_running_loop(None)
        self._tasks.clear()

    def fail(self, error: BaseException) -> None:
        """Makes `run_forever` raise an error after the callback that runs now."""
        self._error = error

    def is_running(self) -> bool:
        """Tells whether `run_forever` is on the stack."""
        return self._running

    def is_closed(self) -> bool:
        """Tells whether `close` was called."""
        return self._closed

    def get_debug(self) -> bool:
        """Returns False: asyncio's debug mode reads the real clock."""
        return False

    def time(self) -> float:
        """Returns virtual seconds since the simulation began."""
        return self._now

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Schedules a callback for this moment."""
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        if not self._closed:
            wakes_task = isinstance(getattr(callback, "__self__", None), asyncio.Task)
            self._ready.append(_Ready(handle, context.get(PROCESS), wakes_task))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedules a callback for a number of virtual seconds from now."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedules a callback for a virtual time."""
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._closed:
            ready = _Ready(handle, context.get(PROCESS), wakes_task=False)
            heapq.heappush(self._timers, (when, self._next_number(), ready))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """Makes a future."""
        return _Future(loop=self, number=self._next_number())

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Starts a task, in the process of the given context or else of the caller."""
        assert isinstance(coro, Coroutine)
        if self._closed:
            coro.close()
            raise RuntimeError("the simulation is over")
        task = _Task(coro, loop=self, name=name, context=context, number=self._next_number())
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Refuses: there are no threads."""
        raise NotImplementedError("a simulation has no threads")

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Refuses: there are no threads."""
        raise NotImplementedError("a simulation has no threads")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Reports an exception that nobody caught."""
        if not self._closed:
            self.on_error(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Does nothing: a cancelled timer is skipped when its time comes."""

    def _next_number(self) -> int:
        self._created += 1
        return self._created

    def _stop_with_error(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, BaseException):
            error = SimulationError(str(context.get("message")))
        self.fail(error)

    def _run_one(self) -> None:
        if not self._ready:
            self._advance()
        ready = self._take()
        if _is_dead(ready):
            return
        if ready.process is not None and ready.process.stopped_until > self._now:
            entry = (ready.process.stopped_until, self._next_number(), ready)
            heapq.heappush(self._timers, entry)
            return
        self.steps += 1
        self._steps_at_this_moment += 1
        if self._steps_at_this_moment > MAX_STEPS_AT_ONE_MOMENT:
            raise SimulationError(f"time stands still: {ready.handle!r} runs again and again")
        if self.steps > MAX_STEPS:
            raise SimulationError(f"too much happens: {ready.handle!r} and others keep running")
        ready.handle._run()

    def _take(self) -> _Ready:
        ready = self._ready
        if (
            len(ready) > 1
            and self._reorder_probability
            and self._generator.random() < self._reorder_probability
        ):
            index = self._generator.randrange(len(ready))
            if ready[index].wakes_task:
                chosen = ready[index]
                del ready[index]
                return chosen
        return ready.popleft()

    def _advance(self) -> None:
        """Moves time to the next timer that will run, and makes what is due then ready."""
        timers = self._timers
        while timers and _is_dead(timers[0][2]):
            heapq.heappop(timers)
        if not timers:
            raise SimulationError("nothing is left to run: a task waits for ever")
        if timers[0][0] > self._now:
            self._now = timers[0][0]
            self._steps_at_this_moment = 0
        while timers and timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(timers)[2])


def _is_dead(ready: _Ready) -> bool:
    return ready.handle.cancelled() or (ready.process is not None and not ready.process.alive)


def _bury(task: _Task) -> None:
    """Ends a task that will never run again, without a word from asyncio."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    assert isinstance(coroutine, Coroutine)
    # A `finally` block may await, which closing a coroutine reports as an error: close it again.
    for _ in range(100):
        try:
            coroutine.close()
        except BaseException:  # noqa: BLE001, S112
            continue
        return
