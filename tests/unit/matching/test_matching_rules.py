"""The rules of matching, one by one."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.matching.backlog import Backlog, Source
from perdure.core.matching.line import WaitingLine
from perdure.core.matching.pollers import PollerHistory
from perdure.core.matching.position import key_at, position_of
from perdure.core.matching.rate_limit import DispatchLimit
from perdure.core.matching.rates import RateWindow
from perdure.core.matching.reading import LowWaterMark, ReadSchedule
from unit.matching.world import WORKFLOWS, task_of


@dataclass(eq=False)
class Someone:
    name: str
    place: int = 0
    in_line: bool = False


def new_backlog(*, capacity: int = 4, page_size: int = 2, read: bool = True) -> Backlog:
    mark = LowWaterMark(transaction_window=10, longest_pass=30)
    backlog = Backlog(capacity=capacity, page_size=page_size, mark=mark)
    if read:
        backlog.begin_read(0)
        backlog.end_read([])
    return backlog


def taken_ids(backlog: Backlog) -> list[int]:
    ids = []
    while (task := backlog.take()) is not None:
        ids.append(task.key.task_id)
    return ids


class TestLine:
    def test_the_first_to_come_is_taken_first(self) -> None:
        line: WaitingLine[Someone] = WaitingLine()
        people = [Someone(str(number)) for number in range(5)]
        for person in people:
            line.join(person)
        assert [line.take() for _ in range(6)] == [*people, None]

    def test_whoever_was_taken_comes_back_to_the_old_place(self) -> None:
        line: WaitingLine[Someone] = WaitingLine()
        first, second, third = people = [Someone(name) for name in "abc"]
        for person in people:
            line.join(person)
        assert (line.take(), line.take()) == (first, second)
        line.join(second)
        line.join(first)
        assert [line.take() for _ in range(3)] == [first, second, third]

    def test_whoever_left_is_not_taken_and_takes_no_memory(self) -> None:
        line: WaitingLine[Someone] = WaitingLine()
        stays = Someone("stays")
        line.join(stays)
        for number in range(1_000):
            passer = Someone(str(number))
            line.join(passer)
            line.leave(passer)
        assert list(line) == [stays]
        assert len(line._heap) < 40
        assert (line.take(), line.take(), len(line)) == (stays, None, 0)


class TestBacklog:
    def test_the_best_task_is_taken_first(self) -> None:
        backlog = new_backlog()
        backlog.hold(task_of(1, priority=5))
        backlog.hold(task_of(3, priority=3))
        backlog.hold(task_of(2, priority=3))
        backlog.hold(task_of(4, priority=1))
        assert taken_ids(backlog) == [4, 2, 3, 1]

    def test_what_is_known_is_not_taken_twice(self) -> None:
        backlog = new_backlog()
        assert backlog.hold(task_of(1))
        assert not backlog.hold(task_of(1))
        assert not backlog.claim(task_of(1))
        assert taken_ids(backlog) == [1]
        assert not backlog.hold(task_of(1))
        assert not backlog.claim(task_of(1))
        backlog.finish(task_of(1))
        assert backlog.claim(task_of(1)), "an undone start is hinted again under the same key"

    def test_a_full_memory_forgets_the_worst_and_reads_it_again(self) -> None:
        backlog = new_backlog()
        for number in (1, 2, 3, 4):
            backlog.hold(task_of(number))
        assert not backlog.hold(task_of(5))
        assert backlog.hold(task_of(6, priority=1))
        assert backlog.unread
        assert (backlog.held, backlog.approximate_count) == (4, 6)
        assert taken_ids(backlog) == [6, 1, 2, 3]
        assert backlog.wants_rows
        for number in (1, 2, 3):
            backlog.finish(task_of(number))
        backlog.finish(task_of(6, priority=1))
        assert backlog.begin_read(1).after is None
        assert backlog.end_read([task_of(4), task_of(5)]) is False
        assert taken_ids(backlog) == [4, 5]

    def test_before_the_first_read_nothing_is_held(self) -> None:
        backlog = new_backlog(read=False)
        assert not backlog.hold(task_of(1, scheduled_time=7))
        assert (backlog.held, backlog.approximate_count, backlog.approximate_oldest) == (0, 1, 7)
        backlog.begin_read(0)
        assert backlog.hold(task_of(2, scheduled_time=9)), "the read may have begun too early"
        backlog.end_read([task_of(1)])
        assert backlog.approximate_count == 2
        assert taken_ids(backlog) == [1, 2]

    def test_a_row_of_a_task_that_finished_meanwhile_is_dropped(self) -> None:
        backlog = new_backlog()
        backlog.hold(task_of(1))
        backlog.take()
        backlog.begin_read(0)
        assert backlog.finish(task_of(1)) is Source.MEMORY
        backlog.end_read([task_of(1), task_of(2)])
        assert taken_ids(backlog) == [2]
        assert backlog.finish(task_of(2)) is Source.ROWS

    def test_a_task_put_back_is_taken_again_and_keeps_its_source(self) -> None:
        backlog = new_backlog()
        backlog.begin_read(0)
        backlog.end_read([task_of(1)])
        task = backlog.take()
        assert task is not None
        backlog.put_back(task)
        assert backlog.take() == task
        assert backlog.finish(task) is Source.ROWS
        assert backlog.claim(task_of(2))
        assert backlog.finish(task_of(2)) is Source.SYNC

    def test_a_hint_forgotten_during_a_read_is_read_again(self) -> None:
        backlog = new_backlog()
        for number in (2, 3, 4, 5):
            backlog.hold(task_of(number))
        backlog.begin_read(0)
        assert not backlog.hold(task_of(9))
        assert backlog.end_read([]) is True
        assert backlog.unread

    def test_a_hint_forgotten_behind_the_mark_is_read_again(self) -> None:
        backlog = new_backlog(capacity=2, page_size=2, read=False)
        backlog.begin_read(0)
        backlog.end_read([task_of(1), task_of(2)])
        for task in (backlog.take(), backlog.take()):
            assert task is not None
            backlog.finish(task)
        assert backlog.begin_read(20).after == position_of(task_of(2))
        backlog.end_read([task_of(3), task_of(4)])
        backlog.hold(task_of(9, priority=1))
        backlog.hold(task_of(8, priority=1))
        backlog.hold(task_of(7, priority=1))
        assert backlog.begin_read(21).after is None, "9 was forgotten, which goes before 2"

    def test_a_task_that_is_hinted_anew_during_a_read_is_not_taken_for_finished(self) -> None:
        backlog = new_backlog(capacity=2, page_size=2)
        backlog.claim(task_of(3))
        backlog.begin_read(0)
        backlog.finish(task_of(3))
        for task in (task_of(1), task_of(2), task_of(3)):
            backlog.hold(task)
        backlog.take()
        backlog.end_read([task_of(3)])
        assert taken_ids(backlog) == [2, 3]

    def test_a_read_leaves_room_for_rows_that_are_known(self) -> None:
        backlog = new_backlog(capacity=10, page_size=3)
        for number in (1, 2):
            backlog.hold(task_of(number))
        backlog.take()
        assert backlog.begin_read(0).limit == 5

    def test_a_read_that_failed_is_made_again_from_where_it_began(self) -> None:
        backlog = new_backlog()
        backlog.hold(task_of(1))
        first = backlog.begin_read(0)
        backlog.fail_read()
        assert not backlog.reading
        assert backlog.begin_read(1) == first


class TestReading:
    def test_pages_are_read_from_where_reads_were_one_window_ago(self) -> None:
        mark = LowWaterMark(transaction_window=10, longest_pass=30)
        first, second = (position_of(task_of(number)) for number in (1, 2))
        assert mark.begin(0) is None
        mark.advance(0, first)
        assert mark.begin(9) is None
        mark.advance(9, second)
        assert mark.begin(10) == first
        assert mark.begin(19) == second
        assert mark.begin(29) == second
        assert mark.begin(30) is None, "the next pass"

    @pytest.mark.parametrize(("lost", "after"), [(3, 2), (2, 1), (1, None)])
    def test_a_forgotten_task_takes_the_mark_back_before_it(
        self, lost: int, after: int | None
    ) -> None:
        mark = LowWaterMark(transaction_window=10, longest_pass=30)
        mark.begin(0)
        mark.advance(0, position_of(task_of(1)))
        mark.begin(10)
        mark.advance(1, position_of(task_of(2)))
        mark.advance(2, position_of(task_of(3)))
        mark.retreat(position_of(task_of(lost)))
        expected = None if after is None else position_of(task_of(after))
        assert mark.begin(20) == expected

    def test_a_queue_that_was_never_read_is_due_at_once(self) -> None:
        assert ReadSchedule(1, 30).due == 0

    def test_reads_that_find_nothing_become_seldom(self) -> None:
        schedule = ReadSchedule(1, 30)
        pauses = []
        for _ in range(7):
            schedule.completed(100, 0.5)
            pauses.append(schedule.due - 100)
        assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30])
        schedule.surprised(100)
        assert schedule.due == 101
        schedule.completed(100, 0)
        assert schedule.due == pytest.approx(100.9)

    def test_a_store_that_failed_is_left_alone_for_a_while(self) -> None:
        schedule = ReadSchedule(1, 30)
        schedule.failed(100, 0.5)
        assert schedule.retry_at == pytest.approx(101)
        schedule.failed(101, 0.5)
        assert schedule.retry_at == pytest.approx(103)


class TestDispatchLimit:
    def test_tasks_go_at_the_rate_after_a_burst_of_one_second(self) -> None:
        limit = DispatchLimit(rate=2, now=0)
        assert [limit.take(0) for _ in range(3)] == [True, True, False]
        assert limit.ready_at() == 0.5
        assert limit.take(0.5)
        assert not limit.take(0.75)
        limit.give_back()
        assert limit.take(0.75)
        assert [limit.take(100) for _ in range(3)] == [True, True, False]

    def test_a_rate_below_one_still_lets_one_task_through(self) -> None:
        limit = DispatchLimit(rate=0.1, now=0)
        assert limit.take(0)
        assert limit.ready_at() == 10
        assert not limit.take(9.9)
        assert limit.take(10)

    def test_nothing_goes_at_a_rate_of_zero_until_it_changes(self) -> None:
        limit = DispatchLimit(rate=0, now=0)
        assert not limit.take(100)
        assert limit.ready_at() is None
        limit.change(1, 100)
        assert limit.take(100)
        limit.change(0, 101)
        assert not limit.take(200)

    def test_a_faster_rate_does_not_wait_for_the_slower_one(self) -> None:
        limit = DispatchLimit(rate=0.01, now=0)
        assert limit.take(0)
        limit.change(10, 1)
        assert limit.ready_at() == pytest.approx(1.1)

    @given(st.floats(0.001, 1_000), st.lists(st.floats(0, 10), max_size=20))
    def test_a_task_tried_when_it_is_ready_goes_through(
        self, rate: float, pauses: list[float]
    ) -> None:
        limit = DispatchLimit(rate=rate, now=0)
        now = 0.0
        for pause in pauses:
            now += pause
            while limit.take(now):
                pass
            ready_at = limit.ready_at()
            assert ready_at is not None
            now = ready_at
            assert limit.take(now)


def test_a_position_is_a_key_without_its_queue() -> None:
    task = task_of(7, priority=2)
    assert position_of(task) == ("", 2, "", 7)
    assert key_at(WORKFLOWS, position_of(task)) == task.key
    assert key_at(WORKFLOWS, None) is None


def test_poller_history_keeps_the_last_polls_of_the_latest_identities() -> None:
    history: PollerHistory[str] = PollerHistory(capacity=2)
    for now, identity in enumerate(("a", "b", "a", "c")):
        history.note(identity, now, f"request {now}")
    assert [(name, record.last_access) for name, record in history.since(0)] == [("c", 3), ("a", 2)]
    assert [name for name, _ in history.since(3)] == ["c"]


def test_rates_are_taken_over_the_window() -> None:
    rate = RateWindow(now=0, window=30)
    assert rate.per_second(0) == 0
    rate.total += 10
    changed = [rate.changed]
    assert rate.per_second(2) == 5
    for now in (10, 20, 30, 40, 50):
        rate.sample(now)
    changed.append(rate.changed)
    assert changed == [True, False]
    assert rate.per_second(50) == 0
    rate.total += 60
    assert rate.per_second(50) == 2
