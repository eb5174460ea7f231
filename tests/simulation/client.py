"""The clients of one workflow id: they tell its story (`plans.py`) and keep the ledger."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.query.v1 import message_pb2 as query
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code, ServiceError
from simulation.commands import json_payloads, json_value
from simulation.interpreter import SIGNAL_NAME
from simulation.ledger import Ledger, Signal, Start
from simulation.observer import Observer
from simulation.pauses import pause_now_and_then
from simulation.plans import NO_SIGNALS, UNDISTURBED, Plan, Story
from simulation.resets import ResetClient
from simulation.rpc import RPC_SECONDS, Frontend
from simulation.update_client import UpdateClient
from simulation.updates import Fate, draw

T = TypeVar("T")

PAUSED = 1 / 3
"""Of how many workflows an operator pauses activities."""

IsOpen = Callable[[str], Awaitable[bool]]
"""Tells whether the current run of a workflow id is open, as the store has it."""


class Client:
    """Tells one story."""

    def __init__(self, *, plan: Plan, frontend: Frontend, ledger: Ledger, is_open: IsOpen) -> None:
        self.plan = plan
        self._is_open = is_open
        self._frontend = frontend
        self._ledger = ledger
        self._name = plan.workflow_id
        self._updates = UpdateClient(workflow_id=plan.workflow_id, frontend=frontend, ledger=ledger)
        self._observer = Observer(workflow_id=plan.workflow_id, frontend=frontend, ledger=ledger)

    async def run(self) -> None:
        """Starts the workflow and does to it what the plan says; returns when it has ended."""
        plan = self.plan
        await asyncio.sleep(plan.begin_at)
        updates = draw(self._name, self._frontend.generator)
        if plan.story is Story.SIGNALED and plan.signals:
            await _together(*(self._signal_with_start(each) for each in plan.signals))
        elif plan.story is Story.UPDATED and updates:
            await self._begin_with(updates)
            return
        elif plan.story is Story.REUSED:
            await self._start(plan.starts[0])
            await self._observer.follow()
            await self._start(plan.starts[1])
        else:
            requests = [each for each in plan.starts for _ in range(plan.duplicates)]
            await _together(*(self._start(request) for request in requests))
        if plan.story is Story.DELETED:
            await self._delete(self._started())
            return
        await self._accompany(updates)

    async def _begin_with(self, updates: dict[str, tuple[Fate, float]]) -> None:
        """Starts the workflow by updates; they may wait for what happens to it afterwards."""
        start, begun = self.plan.starts[0], asyncio.Event()
        ask = self._updates.update_with_start

        async def accompany() -> None:
            await begun.wait()
            await self._accompany({})

        asked = [ask(token, fate, at, start, begun) for token, (fate, at) in updates.items()]
        await _together(accompany(), *asked)

    async def _accompany(self, updates: dict[str, tuple[Fate, float]]) -> None:
        """Sends signals, asks and intervenes while the workflow runs, and waits for its end."""
        first = self._started() if self.plan.story is Story.RESET else ""
        actions = [self._observer.follow(first), self._observer.wait_for_close()]
        if self.plan.story is not Story.SIGNALED:
            actions += [self._signal(token, at) for token, at in self.plan.signals.items()]
        ask = self._updates.update
        actions += [ask(token, fate, at) for token, (fate, at) in updates.items()]
        if self.plan.story is Story.CANCELED:
            actions.append(self._cancel())
        if self.plan.story is Story.TERMINATED:
            actions.append(self._terminate())
        if self.plan.story is Story.RESET:
            actions.append(self._reset(first))
        onlookers = [
            asyncio.create_task(self._query_for_ever()),
            asyncio.create_task(self._observer.describe_for_ever()),
        ]
        # Drawn from what is the plan's own, so that it moves no other chance.
        chance = random.Random(f"{self._name} begins at {self.plan.begin_at}")
        if chance.random() < PAUSED:
            onlookers.append(
                asyncio.create_task(pause_now_and_then(self._frontend, self._name, chance))
            )
        await _together(*actions)
        for task in onlookers:
            task.cancel()
        await asyncio.wait(onlookers)
        await self._check_closed()

    async def _ask(
        self,
        what: str,
        call: Callable[[], Awaitable[T]],
        *,
        accept: tuple[Code, ...],
        seconds: float = RPC_SECONDS,
    ) -> T | None:
        """Calls until there is an answer; None when the server says one of the `accept` codes."""
        return await self._frontend.ask(self._name, what, call, accept=accept, seconds=seconds)

    async def _start(self, request: wf.StartWorkflowExecutionRequest) -> None:
        frontend, history = self._frontend, self._frontend.history
        await asyncio.sleep(frontend.generator.choice((0.0, 0.0, 0.2)))
        answer = await self._ask(
            "start",
            lambda: history.start_workflow_execution(frontend.namespace, request),
            accept=(Code.ALREADY_EXISTS,),
        )
        if answer is not None:
            frontend.trace.note(self._name, f"run {answer.run_id}, started {answer.started}")
            self._ledger.starts.append(
                Start(self._name, request.request_id, answer.run_id, answer.started)
            )

    async def _signal_with_start(self, token: str) -> None:
        frontend, history = self._frontend, self._frontend.history
        await asyncio.sleep(self.plan.signals[token])
        start = self.plan.starts[0]
        request = wf.SignalWithStartWorkflowExecutionRequest(
            namespace=start.namespace,
            workflow_id=start.workflow_id,
            workflow_type=start.workflow_type,
            task_queue=start.task_queue,
            input=start.input,
            workflow_task_timeout=start.workflow_task_timeout,
            identity=start.identity,
            request_id=f"{frontend.generator.getrandbits(64):016x}",
            workflow_id_reuse_policy=start.workflow_id_reuse_policy,
            signal_name=SIGNAL_NAME,
            signal_input=json_payloads(token),
        )
        self._ledger.signals[token] = Signal(self._name, "")
        answer = await self._ask(
            f"signal {token} with start",
            lambda: history.signal_with_start_workflow_execution(frontend.namespace, request),
            accept=(Code.ALREADY_EXISTS,),
        )
        if answer is not None:
            self._ledger.signals[token].acknowledged = True
            self._ledger.starts.append(
                Start(self._name, request.request_id, answer.run_id, answer.started)
            )

    async def _signal(self, token: str, at: float) -> None:
        frontend, history = self._frontend, self._frontend.history
        await asyncio.sleep(at)
        request = wf.SignalWorkflowExecutionRequest(
            namespace=frontend.namespace.name,
            workflow_execution=common.WorkflowExecution(workflow_id=self._name),
            signal_name=SIGNAL_NAME,
            input=json_payloads(token),
            identity="client",
            request_id=f"{frontend.generator.getrandbits(64):016x}",
        )
        self._ledger.signals[token] = Signal(self._name, "")
        answer = await self._ask(
            f"signal {token}",
            lambda: history.signal_workflow_execution(frontend.namespace, request),
            accept=(Code.NOT_FOUND,),
        )
        if answer is not None:
            self._ledger.signals[token].acknowledged = True

    async def _cancel(self) -> None:
        frontend, history = self._frontend, self._frontend.history
        await asyncio.sleep(self.plan.intervene_at)
        request = wf.RequestCancelWorkflowExecutionRequest(
            namespace=frontend.namespace.name,
            workflow_execution=common.WorkflowExecution(workflow_id=self._name),
            identity="client",
            request_id=f"{frontend.generator.getrandbits(64):016x}",
            reason="simulated",
        )
        # Whoever is not answered asks again; the run may have ended meanwhile, or have been asked.
        answer = await self._ask(
            "request to cancel",
            lambda: history.request_cancel_workflow_execution(frontend.namespace, request),
            accept=(Code.NOT_FOUND, Code.ALREADY_EXISTS),
        )
        # To ask a closed run is no error, and changes nothing.
        if answer is not None and await self._is_open(self._name):
            self._ledger.cancels.add(self._name)

    async def _terminate(self) -> None:
        frontend, history = self._frontend, self._frontend.history
        await asyncio.sleep(self.plan.intervene_at)
        request = wf.TerminateWorkflowExecutionRequest(
            namespace=frontend.namespace.name,
            workflow_execution=common.WorkflowExecution(workflow_id=self._name),
            identity="client",
            reason="simulated",
        )
        answer = await self._ask(
            "termination",
            lambda: history.terminate_workflow_execution(frontend.namespace, request),
            accept=(Code.NOT_FOUND,),
        )
        if answer is not None:
            self._ledger.terminations.add(self._name)

    async def _delete(self, run_id: str) -> None:
        frontend, history = self._frontend, self._frontend.history
        await asyncio.sleep(self.plan.intervene_at)
        execution = common.WorkflowExecution(workflow_id=self._name, run_id=run_id)
        request = wf.DeleteWorkflowExecutionRequest(
            namespace=frontend.namespace.name, workflow_execution=execution
        )
        self._ledger.deleted[run_id] = False
        # Whoever is not answered asks again, and does not find it.
        await self._ask(
            "deletion",
            lambda: history.delete_workflow_execution(frontend.namespace, request),
            accept=(Code.NOT_FOUND,),
        )
        self._ledger.deleted[run_id] = True

    def _started(self) -> str:
        """Returns the run that the first acknowledged start made."""
        return next(each.run_id for each in self._ledger.starts if each.workflow_id == self._name)

    async def _reset(self, run_id: str) -> None:
        """Resets a run, and sees what becomes of the one that follows."""
        client = ResetClient(
            workflow_id=self._name,
            run_id=run_id,
            excluded=self.plan.excluded,
            frontend=self._frontend,
            ledger=self._ledger,
        )
        await self._observer.follow(await client.run())

    async def _query_for_ever(self) -> None:
        generator = self._frontend.generator
        while True:
            await asyncio.sleep(generator.expovariate(1 / 10))
            acknowledged = self._acknowledged()
            seen = await self._query(acknowledged)
            if seen is not None:
                self._frontend.trace.note(self._name, f"query sees {len(seen)} signals")

    async def _query(self, acknowledged: set[str]) -> list[str] | None:
        """Queries once; returns the signals that the workflow knows of."""
        frontend, history = self._frontend, self._frontend.history
        request = wf.QueryWorkflowRequest(
            namespace=frontend.namespace.name,
            execution=common.WorkflowExecution(workflow_id=self._name),
            query=query.WorkflowQuery(query_type="state"),
        )
        try:
            answer = await frontend.once(
                lambda: history.query_workflow(frontend.namespace, request, 10.0), seconds=11.0
            )
        except ServiceError as error:
            frontend.trace.note(self._name, f"query refused: {error.code.name} {error.message}")
            return None
        signals: list[str] = json_value(answer.query_result)["signals"]
        if missing := acknowledged - set(signals):
            frontend.trace.violation(f"a query of {self._name} does not see {sorted(missing)}")
        return signals

    async def _check_closed(self) -> None:
        """Asks the closed workflow, whose history alone can answer."""
        plan = self.plan
        if plan.story in (*UNDISTURBED, Story.RESET):
            for _ in range(20):
                seen = await self._query(self._acknowledged())
                if seen is not None:
                    return
                await asyncio.sleep(5.0)
            self._frontend.trace.violation(f"the closed workflow {self._name} cannot be queried")

    def _acknowledged(self) -> set[str]:
        """Returns the signals that the current run must know of."""
        if NO_SIGNALS in self.plan.excluded:
            return set()
        return {
            token
            for token, signal in self._ledger.signals.items()
            if signal.workflow_id == self._name and signal.acknowledged
        }


async def _together(*actions: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        for action in actions:
            group.create_task(action)
