"""However transitions are batched, a store ends as the memory store that got them one by one."""

from dataclasses import dataclass, field, replace
from itertools import count

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contract.rows import (
    FOREVER,
    batch,
    commit_all,
    item,
    message,
    start,
    step,
    transition,
    visible,
    whole_shard,
)
from perdure.core.commit import (
    Commit,
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    MessageKey,
    MessageRow,
    ReceiptKey,
    ReceiptRow,
    RunKey,
    RunWrite,
    TaskQueueKey,
    TaskType,
    TimerRow,
    VisibilityRow,
)
from perdure.core.slots import slot_of
from perdure.core.visibility.query import Everything
from perdure.persistence.memory import MemoryStore
from perdure.persistence.ports import Outcome, Result, Shard, Store, StoredRun
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

WORKFLOWS = ("a", "b", "c")
_examples = count()

Picture = tuple[
    list[StoredRun | None],
    list[list[HistoryBatch]],
    list[DispatchTask],
    list[TimerRow],
    list[MessageRow],
    list[bytes | None],
    list[VisibilityRow],
]


@dataclass(frozen=True)
class Action:
    """What the next transition does; `wrong` makes it one that must be refused."""

    kind: str
    workflow: str
    number: int
    wrong: str


KINDS = ["start", "step", "step", "step", "continue", "delete", "outbox", "messages"]

actions = st.builds(
    Action,
    kind=st.sampled_from(KINDS),
    workflow=st.sampled_from(WORKFLOWS),
    number=st.integers(0, 3),
    wrong=st.sampled_from([*[""] * 6, "version", "current", "epoch", "text", "repeated"]),
)


@dataclass
class Script:
    """Writes transitions that fit the state that the memory store is in.

    Attributes:
        tasks: Keys of tasks that are stored.
        timers: Timers that are stored, by workflow.
        messages: Keys of messages that are stored, from the oldest.
        receipts: Keys of receipts that were ever to be added.
    """

    namespace: str
    runs: list[RunKey] = field(default_factory=list)
    tasks: list[DispatchKey] = field(default_factory=list)
    timers: dict[str, TimerRow] = field(default_factory=dict)
    messages: list[MessageKey] = field(default_factory=list)
    receipts: list[ReceiptKey] = field(default_factory=list)
    task_ids: "count[int]" = field(default_factory=count)

    async def transition(self, action: Action, store: Store, shard: Shard) -> Commit:
        """Returns the action's transition."""
        current = await store.load_current(self.namespace, action.workflow)
        commit = self._fitting(action, current, shard)
        commit.namespace_id, commit.workflow_id = self.namespace, action.workflow
        commit.slot = slot_of(self.namespace, action.workflow)
        for row in commit.visibility:
            row.namespace_id, row.workflow_id = self.namespace, action.workflow
        match action.wrong:
            case "version" if commit.runs:
                commit.runs[-1].expected_version += 1
            case "current" if commit.current is not None:
                commit.current.expected_run_id += "?"
            case "epoch":
                commit.epoch -= 1
            case "text":
                commit.visibility.append(visible("nul", workflow_id="\0"))
            case _:
                pass
        return commit

    def _fitting(self, action: Action, current: StoredRun | None, shard: Shard) -> Commit:
        if current is None or action.kind == "start":
            return self._start(action, current, shard)
        match action.kind:
            case "step":
                return self._step(action, current, shard)
            case "continue":
                closed = self._step(action, current, shard)
                started = self._start(action, current, shard)
                closed.runs += started.runs
                closed.visibility += started.visibility
                closed.current = started.current
                return closed
            case "delete":
                write = RunWrite(current.key.run_id, current.version, b"", deleted=True)
                return transition(shard, write)
            case "messages":
                return self._messages(action, shard)
            case _:
                return self._outbox(action, shard)

    def _start(self, action: Action, current: StoredRun | None, shard: Shard) -> Commit:
        key = RunKey(self.namespace, action.workflow, f"{self.namespace}-{len(self.runs)}")
        self.runs.append(key)
        return start(
            shard, key.run_id, action.workflow, current.key.run_id if current is not None else ""
        )

    def _step(self, action: Action, current: StoredRun, shard: Shard) -> Commit:
        first = current.version * 10 + 1
        write = step(
            current.key.run_id,
            current.version,
            history=[batch(first, first + 1)] if action.number else [],
            items_put={item(str(action.number)): b"%d" % current.version},
            items_deleted={item(str(action.number + 1)), item("never")},
        )
        rows = [visible(current.key.run_id, close_time=action.number)] if action.number else []
        return transition(shard, write, visibility=rows)

    def _outbox(self, action: Action, shard: Shard) -> Commit:
        run = RunKey(self.namespace, action.workflow, "run")
        timer = self.timers.get(action.workflow)
        queue = TaskQueueKey(self.namespace, f"q{action.number % 2}", TaskType.ACTIVITY)
        task = DispatchTask(
            DispatchKey(queue, "", action.number, "", next(self.task_ids)), 5, run, 2, 1, 3
        )
        return transition(
            shard,
            tasks=[task] if action.number else [],
            tasks_deleted=self.tasks[: action.number],
            timers=[TimerRow(action.number, 5, run)],
            timers_deleted=[timer] if timer is not None else [],
        )

    def _messages(self, action: Action, shard: Shard) -> Commit:
        run = RunKey(self.namespace, action.workflow, "run")
        added = [
            message(f"{self.namespace}-{next(self.task_ids)}", due=action.number, run=run)
            for _ in range(action.number)
        ]
        key = ReceiptKey(self.namespace, action.workflow, str(next(self.task_ids)))
        if action.wrong == "repeated" and action.number % 2 and self.messages:
            added.append(MessageRow(self.messages[-1], run, b"again"))
        elif action.wrong == "repeated" and self.receipts:
            key = self.receipts[-1]
        self.receipts.append(key)
        slot = slot_of(self.namespace, key.workflow_id)
        return transition(
            shard,
            messages=added,
            messages_deleted=self.messages[: action.number // 2],
            receipts=[ReceiptRow(key, slot, FOREVER, b"%d" % action.number)],
        )

    def committed(self, commit: Commit) -> None:
        """Takes note of what a committed transition left in the outbox."""
        self.tasks = [key for key in self.tasks if key not in commit.tasks_deleted]
        self.tasks += [task.key for task in commit.tasks_added]
        self.messages = [key for key in self.messages if key not in commit.messages_deleted]
        self.messages += [row.key for row in commit.messages_added]
        for timer in commit.timers_added:
            self.timers[commit.workflow_id] = timer


async def picture(store: Store, script: Script) -> Picture:
    """Reads everything there is of a script's namespace."""
    namespace, runs = script.namespace, script.runs
    queues = [TaskQueueKey(namespace, name, TaskType.ACTIVITY) for name in ("q0", "q1")]
    timers = await store.read_timers(0, 16_383, FOREVER, None, 10_000)
    messages = await store.read_messages(0, 16_383, FOREVER, None, 10_000)
    currents = [await store.load_current(namespace, workflow) for workflow in WORKFLOWS]
    return (
        [*currents, *[await store.load_run(key) for key in runs]],
        [await store.read_history(key, 1, FOREVER, 1_000) for key in runs],
        [task for queue in queues for task in await store.read_queue(queue, None, 1_000)],
        [timer for timer in timers if timer.run.namespace_id == namespace],
        [row for row in messages if row.run.namespace_id == namespace],
        [await store.load_receipt(key) for key in script.receipts],
        await store.list_workflows(namespace, Everything(), None, 1_000),
    )


@given(
    actions=st.lists(actions, min_size=1, max_size=25),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(
    # A message that is there already comes again, and what follows in its batch deletes it.
    actions=[
        Action("start", "a", 0, ""),
        Action("messages", "a", 1, ""),
        Action("messages", "a", 1, "repeated"),
        Action("messages", "a", 2, ""),
    ],
    sizes=[2],
)
async def test_batching_changes_nothing(
    store: Store, shard: Shard, actions: list[Action], sizes: list[int]
) -> None:
    model = MemoryStore(ids=SystemIds(clock=SystemClock()))
    model_shard = await whole_shard(model)
    script = Script(namespace=f"namespace-{next(_examples)}")
    commits: list[Commit] = []
    expected: list[Outcome] = []
    for action in actions:
        commit = await script.transition(action, model, model_shard)
        (outcome,) = await model.commit([commit])
        if outcome.result is Result.COMMITTED:
            script.committed(commit)
        elif not action.wrong:
            raise AssertionError(f"{action} does not fit: {outcome}")
        expected.append(outcome)
        behind = shard.epoch - model_shard.epoch
        commits.append(replace(commit, epoch=commit.epoch + behind))
    outcomes: list[Outcome] = []
    while len(outcomes) < len(commits):
        size = sizes[len(outcomes) % len(sizes)]
        outcomes += await store.commit(commits[len(outcomes) : len(outcomes) + size])
    assert [o.result for o in outcomes] == [o.result for o in expected]
    assert await picture(store, script) == await picture(model, script)


async def test_a_script_reaches_every_result(store: Store, shard: Shard) -> None:
    """Guards the test above: what it calls wrong is refused for the reason it means."""
    script = Script(namespace="script")
    await commit_all(store, await script.transition(Action("start", "a", 1, ""), store, shard))
    sent = await script.transition(Action("messages", "a", 3, ""), store, shard)
    await commit_all(store, sent)
    script.committed(sent)
    for number in (2, 1):
        again = await script.transition(Action("messages", "a", number, "repeated"), store, shard)
        assert [o.result for o in await store.commit([again])] == [Result.REJECTED]
    reasons = {
        "version": Result.VERSION_MISMATCH,
        "current": Result.CURRENT_MISMATCH,
        "epoch": Result.FENCED,
        "text": Result.REJECTED,
    }
    for wrong, result in reasons.items():
        kind = "continue" if wrong == "current" else "step"
        commit = await script.transition(Action(kind, "a", 1, wrong), store, shard)
        assert [o.result for o in await store.commit([commit])] == [result]
