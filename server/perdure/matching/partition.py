"""One partition of one queue: its pollers, its queries, and what it knows of its tasks.

Theory of operation: a poller that comes takes the best there is (a query, then a task), or joins
the line; what comes goes to the poller that has waited longest, or is held. So pollers wait only
while nothing is held, or while the rate that workers set holds tasks back. A poller leaves the line
by getting a match, by ending without one, or by being reserved for a fused start, after which it is
answered or joins again at its old place.

Partition 0 of a queue is its root, where pollers that found nothing elsewhere wait. Other
partitions forward tasks to it while nobody polls them. There a forwarded task waits in a line of
its own, and is given out where its position says, among the root's own tasks. Queries come to the
root only.

Rules that hold here: everything is synchronous, and nothing here calls history.
"""

import asyncio
from collections.abc import Callable

from perdure.core.commit import DispatchTask, TaskQueueKey
from perdure.core.matching.backlog import Backlog, Source
from perdure.core.matching.line import WaitingLine
from perdure.core.matching.pollers import PollerHistory
from perdure.core.matching.position import Position, position_of
from perdure.core.matching.rates import RateWindow
from perdure.core.matching.reading import LowWaterMark, ReadSchedule
from perdure.core.matching.scaling import PollerScaling, ScalingRules
from perdure.matching.forwarding import Forwarder, QueueTasks
from perdure.matching.observer import QueueObserver
from perdure.matching.rate_gate import RateGate
from perdure.matching.reader import BacklogReader, QueueRows
from perdure.matching.settings import MatchingSettings
from perdure.matching.waiting import ForwardedTask, Match, PendingQuery, WaitingPoller
from perdure.matching.watch import PartitionWatch
from perdure.rpc.clients import Encoded, ForwardOutcome, Poller
from perdure.runtime.tasks import TaskSet

_UNPOLLED_SECONDS = 120.0
"""After which a queue counts as one that nobody polls: the real server's bound."""

_FAILURES_REMEMBERED = 1_000
"""Of how many tasks the failed starts are counted: only how long they pause depends on it."""


class Partition:
    """A partition in memory.

    Attributes:
        queue: Which one.
        sticky_of: The normal queue of the workers that poll a sticky one; None for a normal queue.
        observer: Where it counts.
        polls: How many polls have not been answered, wherever they are.
        pollers: Who polled lately.
        added: Counts tasks that came.
        dispatched: Counts tasks that were started.
        abandoned: Whether the last workers that polled have said that they are going away.
        scaling: Suggests how many polls workers should make.
        last_poll: When a poll last came or ended, by the loop's clock in seconds; None for never.
    """

    __slots__ = (
        "_closed",
        "_failures",
        "_forwarded",
        "_forwarder",
        "_idle_unload",
        "_last_hint",
        "_line",
        "_loop",
        "_queries",
        "_rate",
        "_reader",
        "_watch",
        "abandoned",
        "added",
        "backlog",
        "dispatched",
        "last_poll",
        "observer",
        "pollers",
        "polls",
        "queue",
        "scaling",
        "sticky_of",
    )

    def __init__(
        self,
        *,
        queue: TaskQueueKey,
        sticky_of: str | None,
        settings: MatchingSettings,
        observer: QueueObserver,
        rows: QueueRows,
        tasks: TaskSet,
        jitter: Callable[[], float],
        queue_tasks: QueueTasks,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self.queue = queue
        self.sticky_of = sticky_of
        self.observer = observer
        self.polls = 0
        self._idle_unload = settings.idle_unload
        self._last_hint = now
        self.last_poll: float | None = None
        self.abandoned = False
        self.pollers: PollerHistory[Poller] = PollerHistory(
            capacity=settings.poller_identities_per_queue
        )
        self.added = RateWindow(now=now, window=settings.rate_window)
        self.dispatched = RateWindow(now=now, window=settings.rate_window)
        self.scaling = PollerScaling(_scaling_rules(settings), now=now)
        self.backlog = _new_backlog(settings)
        self._line: WaitingLine[WaitingPoller] = WaitingLine()
        self._queries: WaitingLine[PendingQuery] = WaitingLine()
        self._forwarded: WaitingLine[ForwardedTask] = WaitingLine()
        self._failures: dict[Position, int] = {}
        self._rate = RateGate(open_again=self._match_held, throttled=observer.task_throttled)
        self._closed = False
        self._reader = BacklogReader(
            queue=queue,
            backlog=self.backlog,
            schedule=ReadSchedule(settings.shortest_read_interval, settings.longest_read_interval),
            rows=rows,
            tasks=tasks,
            jitter=jitter,
            pollers_wait=self._wants_tasks,
            on_rows=self._match_held,
        )
        self._forwarder: Forwarder | None = None
        self._watch: PartitionWatch | None = None
        if queue.partition:
            self._forwarder = Forwarder(
                partition=self,
                send=queue_tasks.forward_task,
                settings=settings,
                tasks=tasks,
                jitter=jitter,
            )
        elif sticky_of is None:
            self._watch = PartitionWatch(
                root=queue,
                settings=settings,
                rows=rows,
                hint=queue_tasks.add_tasks,
                tasks=tasks,
                jitter=jitter,
                pollers_wait=lambda: len(self._line) > 0,
            )

    @property
    def busy(self) -> bool:
        """Whether dropping the partition would lose more than memory of rows."""
        backlog = self.backlog
        waiting = self.polls or len(self._queries) or len(self._forwarded)
        # What is being forwarded is as good as held.
        in_flight = backlog.in_flight - (self._forwarder.sending if self._forwarder else 0)
        return bool(waiting or in_flight or backlog.reading)

    @property
    def limited(self) -> bool:
        """Whether workers have set a rate."""
        return self._rate.limited

    def polled_within(self, seconds: float) -> bool:
        """Tells whether somebody polls now, or did within the last `seconds`."""
        if self.polls:
            return not self.abandoned
        if self.abandoned:
            return False
        return self.last_poll is not None and self._loop.time() - self.last_poll <= seconds

    def rates(self, now: float) -> tuple[float, float] | None:
        """Returns how many tasks came and went per second; None for a sticky queue."""
        if self.sticky_of is not None:
            return None
        return self.added.per_second(now), self.dispatched.per_second(now)

    def take(self) -> Match | None:
        """Returns what a poller shall do now, if there is anything."""
        while (query := self._queries.take()) is not None:
            if not query.outcome.done():
                return query
        if len(self._forwarded) and (forwarded := self._first_forwarded()) is not None:
            return self._take_forwarded(forwarded)
        return self._take_held()

    def _take_held(self) -> DispatchTask | None:
        # If not now, pollers look again when a task may go.
        return self._take_task() if not self.backlog.held or self._rate.take() else None

    def join(self, waiter: WaitingPoller) -> None:
        """Lets a poller for which there is nothing now wait."""
        if self._closed:
            waiter.match.set_result(None)
            return
        self._line.join(waiter)
        if self._reader.idle or self.backlog.wants_rows:
            self._reader.plan()
        if self._watch is not None and self._watch.idle:
            self._watch.plan()

    def limit_rate(self, tasks_per_second: float) -> None:
        """Sets how fast tasks are handed out; a poller said so."""
        self._rate.set_by_worker(tasks_per_second)
        self._match_held()

    def override_rate(self, tasks_per_second: float | None) -> None:
        """Sets how fast tasks are handed out, whatever workers say; None leaves it to them."""
        if self._rate.set_by_operator(tasks_per_second):
            self._match_held()

    def offer(self, task: DispatchTask) -> None:
        """Gives a hint to a poller, or holds it."""
        self.added.total += 1
        if self._rate.limited:
            self._hold(task)
            self._match_held()
            return
        waiter = self._next_waiter()
        if waiter is None:
            self._hold(task)
            self._forward_held()
        elif self.backlog.claim(task):
            self.observer.task_matched()
            waiter.match.set_result(task)
        else:
            self._line.join(waiter)

    def offer_query(self, query: PendingQuery) -> None:
        """Gives a query to a poller, or lets it wait for one."""
        waiter = self._next_waiter()
        if waiter is None:
            self._queries.join(query)
        else:
            waiter.match.set_result(query)

    def offer_forwarded(self, forwarded: ForwardedTask) -> None:
        """Gives a task of another partition to a poller, or lets it wait for one."""
        self._forwarded.join(forwarded)
        forwarded.waited_for = len(self._line) > 0
        self._match_held()

    def reserve(self) -> WaitingPoller | None:
        """Takes the poller that has waited longest out of the line, if a task may start now."""
        if not self._rate.try_take():
            self.observer.task_throttled()
            return None
        waiter = self._next_waiter()
        if waiter is None:
            self._rate.give_back()
        return waiter

    def deliver(self, waiter: WaitingPoller, response: Encoded, task: DispatchTask | None) -> bool:
        """Answers a reserved poller; False when it is gone."""
        if waiter.match.done():
            return False
        waiter.fused_task = task
        waiter.match.set_result(response)
        self.added.total += 1
        self.dispatched.total += 1
        self.observer.task_matched()
        return True

    def release(self, waiter: WaitingPoller) -> None:
        """Puts a reserved poller back in its place, and gives it what has come meanwhile."""
        self._rate.give_back()
        if waiter.match.done():
            return
        if waiter.ending:
            waiter.match.set_result(None)
            return
        self.join(waiter)
        self._match_held()

    def end(self, waiter: WaitingPoller) -> None:
        """Ends a poll without a task; one that is reserved ends when it is released."""
        if not waiter.in_line:
            waiter.ending = True
        elif not waiter.match.done():
            self._line.leave(waiter)
            waiter.match.set_result(None)

    def vanish(self, waiter: WaitingPoller) -> Match | None:
        """Forgets a poller whose client is gone; returns what it got but never saw."""
        if waiter.in_line:
            self._line.leave(waiter)
        if waiter.match.done() and not waiter.match.cancelled():
            return waiter.match.result()
        return None

    def put_back(self, match: DispatchTask | ForwardedTask | PendingQuery) -> None:
        """Takes back what a poller got and did not take over."""
        if isinstance(match, PendingQuery):
            if not match.outcome.done():
                self._queries.join(match)
        elif isinstance(match, ForwardedTask):
            if not match.outcome.done():
                self._forwarded.join(match)
        else:
            self.backlog.put_back(match)
        self._match_held()

    def put_back_untaken(self, task: DispatchTask) -> None:
        """Takes back a task that was forwarded and for which no poller came."""
        self._rate.give_back()
        self.put_back(task)

    def failed(self, task: DispatchTask) -> int:
        """Notes that history could not say whether a task started; returns how often that was."""
        position = position_of(task)
        failures = self._failures.pop(position, 0) + 1
        self._failures[position] = failures
        if len(self._failures) > _FAILURES_REMEMBERED:
            del self._failures[next(iter(self._failures))]
        return failures

    def put_back_later(self, task: DispatchTask, delay: float) -> None:
        """Holds a task again after a pause; until then it stays in flight. `delay` is seconds."""
        self._loop.call_later(delay, self.put_back, task)

    def started(self, task: DispatchTask) -> bool:
        """Notes that history started a task; returns whether a poller had waited for it."""
        self.dispatched.total += 1
        source = self._finish(task)
        if source is Source.ROWS:
            self._reader.surprised()
        return source is Source.SYNC

    def dropped(self, task: DispatchTask) -> None:
        """Notes that history does not want a task any more."""
        self._finish(task)

    def go_on(self) -> None:
        """Gives out or forwards what is held, if it can be."""
        self._match_held()

    def withdraw(self, query: PendingQuery) -> None:
        """Forgets a query for which nobody waits any more."""
        if query.in_line:
            self._queries.leave(query)

    def withdraw_forwarded(self, forwarded: ForwardedTask) -> None:
        """Sends a forwarded task back that still waits."""
        if forwarded.in_line:
            self._forwarded.leave(forwarded)
            forwarded.settle(ForwardOutcome.UNTAKEN)

    def end_polls(self, wanted: Callable[[Poller], bool]) -> int:
        """Ends the polls that wait and are wanted; returns how many."""
        ending = [waiter for waiter in self._line if wanted(waiter.poller)]
        for waiter in ending:
            self.end(waiter)
        return len(ending)

    def look(self, now: float) -> bool:
        """Samples the rates; returns whether the partition has been idle for too long."""
        if self.added.changed:
            self._last_hint = now
        self.added.sample(now)
        self.dispatched.sample(now)
        last = max(self._last_hint, self.last_poll or 0.0)
        if self._forwarder is not None:
            last = max(last, self._forwarder.last_started or 0.0)
        return not self.busy and now - last >= self._idle_unload

    def close(self) -> None:
        """Ends all polls and plans no reads any more."""
        self._closed = True
        self._reader.close()
        self._rate.close()
        self.end_polls(lambda _: True)
        if self._forwarder is not None:
            self._forwarder.close()
        if self._watch is not None:
            self._watch.close()
        for forwarded in self._forwarded:
            self.withdraw_forwarded(forwarded)

    def _hold(self, task: DispatchTask) -> None:
        self.observer.task_held(unpolled=not self._has_workers())
        self.backlog.hold(task)

    def _has_workers(self) -> bool:
        """Tells whether somebody polled lately, here or where tasks are forwarded to."""
        if self.polled_within(_UNPOLLED_SECONDS):
            return True
        started = self._forwarder.last_started if self._forwarder else None
        return started is not None and self._loop.time() - started <= _UNPOLLED_SECONDS

    def _finish(self, task: DispatchTask) -> Source:
        if self._failures:
            self._failures.pop(position_of(task), None)
        return self.backlog.finish(task)

    def _next_waiter(self) -> WaitingPoller | None:
        while (waiter := self._line.take()) is not None:
            # One that was cancelled leaves the line only when its coroutine runs.
            if not waiter.match.done():
                return waiter
        return None

    def _wants_tasks(self) -> bool:
        return len(self._line) > 0 or (self._forwarder is not None and self._forwarder.has_room)

    def _first_forwarded(self) -> ForwardedTask | None:
        """Returns the next forwarded task, if it comes before what is held."""
        forwarded = self._forwarded.first()
        held = self.backlog.first
        if forwarded is None or (held is not None and held < position_of(forwarded.task)):
            return None
        return forwarded

    def _take_forwarded(self, forwarded: ForwardedTask) -> ForwardedTask | None:
        if forwarded.limited or self._rate.take():
            return self._forwarded.take()
        return None

    def _forward_held(self) -> None:
        """Forwards what is held, while nobody waits for it here."""
        forwarder = self._forwarder
        if forwarder is None or self._closed:
            return
        while forwarder.has_room:
            task = self._take_held()
            if task is None:
                if self._reader.idle or self.backlog.wants_rows:
                    self._reader.plan()
                return
            self.observer.task_forwarded()
            forwarder.send(task)

    def _take_task(self) -> DispatchTask | None:
        task = self.backlog.take()
        if self.backlog.wants_rows and task is not None:
            self._reader.plan()
        return task

    def _match_held(self) -> None:
        while (waiter := self._next_waiter()) is not None:
            match = self.take()
            if match is None:
                self._line.join(waiter)
                return
            waiter.match.set_result(match)
        self._forward_held()


def _scaling_rules(settings: MatchingSettings) -> ScalingRules:
    return ScalingRules(
        idle_wait=settings.scaling_idle_wait,
        backlog_age=settings.scaling_backlog_age,
        decisions_per_second=settings.scaling_decisions_per_second,
    )


def _new_backlog(settings: MatchingSettings) -> Backlog:
    mark = LowWaterMark(
        transaction_window=settings.transaction_window,
        longest_pass=settings.longest_read_interval,
    )
    return Backlog(capacity=settings.held_tasks_per_queue, page_size=settings.page_size, mark=mark)
