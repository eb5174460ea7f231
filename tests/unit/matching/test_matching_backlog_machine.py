"""Whatever the order of commits, hints, reads and starts: every task is started exactly once."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from perdure.core.commit import DispatchTask
from perdure.core.matching.backlog import Backlog
from perdure.core.matching.position import Position, position_of
from perdure.core.matching.reading import LowWaterMark
from unit.matching.world import task_of

CAPACITY = 4
WINDOW = 2.0
LONGEST_PASS = 8.0
priorities = st.integers(1, 3)


class BacklogMachine(RuleBasedStateMachine):
    """Plays the owners that commit, the store that is read, and the pollers that start."""

    def __init__(self) -> None:
        super().__init__()
        mark = LowWaterMark(transaction_window=WINDOW, longest_pass=LONGEST_PASS)
        self.backlog = Backlog(capacity=CAPACITY, page_size=2, mark=mark)
        self.now = 0.0
        self.last_id = 0
        self.open: list[DispatchTask] = []
        self.rows: dict[Position, DispatchTask] = {}
        self.snapshot: list[DispatchTask] | None = None
        self.with_pollers: list[DispatchTask] = []
        self.started: list[int] = []
        self.announced: set[Position] = set()

    @rule(priority=priorities)
    def begin_commit(self, priority: int) -> None:
        self.last_id += 1
        self.open.append(task_of(self.last_id, priority=priority))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), hinted=st.booleans(), poller_waits=st.booleans())
    def end_commit(self, data: st.DataObject, hinted: bool, poller_waits: bool) -> None:
        task = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.rows[position_of(task)] = task
        if hinted:
            self.hint(task, poller_waits)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), poller_waits=st.booleans())
    def hint_again(self, data: st.DataObject, poller_waits: bool) -> None:
        self.hint(data.draw(st.sampled_from(sorted(self.rows.values(), key=id_of))), poller_waits)

    @rule(seconds=st.sampled_from([0.1, WINDOW, LONGEST_PASS]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.snapshot is None)
    @rule()
    def begin_read(self) -> None:
        after, limit = self.backlog.begin_read(self.now)
        found = [self.rows[key] for key in sorted(self.rows) if after is None or key > after]
        self.snapshot = found[:limit]

    @precondition(lambda self: self.snapshot is not None)
    @rule(works=st.booleans())
    def end_read(self, works: bool) -> None:
        assert self.snapshot is not None
        if works:
            self.backlog.end_read(self.snapshot)
        else:
            self.backlog.fail_read()
        self.snapshot = None

    @rule()
    def take(self) -> None:
        if (task := self.backlog.take()) is not None:
            self.with_pollers.append(task)

    @precondition(lambda self: self.with_pollers)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        task = self.with_pollers.pop(data.draw(st.integers(0, len(self.with_pollers) - 1)))
        self.decide(task)

    @precondition(lambda self: self.with_pollers)
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        task = self.with_pollers.pop(data.draw(st.integers(0, len(self.with_pollers) - 1)))
        self.backlog.put_back(task)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.backlog.held <= CAPACITY
        assert self.backlog.in_flight == len(self.with_pollers)

    @invariant()
    def nothing_starts_twice(self) -> None:
        assert len(set(self.started)) == len(self.started)

    @invariant()
    def a_task_that_was_hinted_is_in_memory_or_will_be_read(self) -> None:
        known = self.backlog.unread or self.backlog.reading
        assert known or not self.announced - self.in_memory()

    def teardown(self) -> None:
        """Pollers keep coming: everything gets started, once, within one pass and a page each."""
        for task in list(self.open):
            self.rows[position_of(task)] = task
        if self.snapshot is not None:
            self.end_read(works=True)
        while self.with_pollers:
            task = self.with_pollers.pop()
            self.backlog.put_back(task)
        self.now += LONGEST_PASS
        for _ in range(len(self.rows) + 2):
            self.begin_read()
            self.end_read(works=True)
            while (taken := self.backlog.take()) is not None:
                self.decide(taken)
            self.now += 0.1
        assert sorted(self.started) == list(range(1, self.last_id + 1))
        assert not self.backlog.unread

    def decide(self, task: DispatchTask) -> None:
        if self.rows.pop(position_of(task), None) is not None:
            self.started.append(task.key.task_id)
        self.announced.discard(position_of(task))
        self.backlog.finish(task)

    def in_memory(self) -> set[Position]:
        return set(self.backlog._held) | {position_of(task) for task in self.with_pollers}

    def hint(self, task: DispatchTask, poller_waits: bool) -> None:
        self.announced.add(position_of(task))
        if not poller_waits:
            self.backlog.hold(task)
        elif self.backlog.claim(task):
            self.with_pollers.append(task)


def id_of(task: DispatchTask) -> int:
    return task.key.task_id


TestBacklogMachine = BacklogMachine.TestCase
TestBacklogMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
