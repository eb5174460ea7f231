"""Updates by hand: the life of an update, and of the speculative workflow tasks that bring it."""

import asyncio

from temporalio.api.protocol.v1 import Message as ProtocolMessage
from temporalio.api.update.v1 import Response

from conformance.commands import complete_workflow, start_timer
from conformance.driver import Driver, payloads
from conformance.recording import Recording
from conformance.rpc import build
from conformance.scenario import ScenarioEnv, scenario
from conformance.updating import (
    ACCEPTED,
    ADMITTED,
    accept,
    commands_of,
    fail,
    idle,
    message,
    poll_update,
    reject,
    requests,
    respond,
    update,
)


@scenario
async def update_accepted_and_completed(env: ScenarioEnv) -> Recording:
    """An update is accepted and completed by one task, and found by id afterwards."""
    record, driver = env.recording(), Driver(env)
    await idle(driver)
    asked = asyncio.create_task(update(driver))
    task = await driver.poll()
    record.note("task", task)
    record.note("described", (await driver.describe()).pending_workflow_task)
    record.events("shown", await driver.history())
    answers = [accept(), respond()]
    record.note("completion", await driver.complete(task, *commands_of(*answers), messages=answers))
    record.note("answer", await asked)
    await record.call("again", update(driver))
    await record.call("polled", poll_update(driver))
    await record.call("polled without waiting", poll_update(driver, wait=None))
    await record.call("unknown", poll_update(driver, "nope"))
    await driver.signal("end")
    await driver.step(complete_workflow())
    await record.call("again when closed", update(driver))
    await record.call("polled when closed", poll_update(driver))
    await record.call("another when closed", update(driver, "other"))
    record.events("history", await driver.history())
    return record


@scenario
async def update_accepted_then_completed(env: ScenarioEnv) -> Recording:
    """An update is accepted by one task and completed by a later one."""
    record, driver = env.recording(), Driver(env)
    await idle(driver)
    asked = asyncio.create_task(update(driver, wait=ACCEPTED))
    task = await driver.poll()
    await driver.complete(task, *commands_of(accept()), messages=[accept()])
    record.note("accepted", await asked)
    completed = asyncio.create_task(poll_update(driver))
    await record.call("twice", update(driver, wait=ACCEPTED))
    await driver.round_trips()
    await driver.signal("go on")
    await driver.step(messages=[respond()])
    record.note("completed", await completed)
    asked = asyncio.create_task(update(driver, "failing"))
    task = await driver.poll()
    answers = [accept("failing"), fail("failing")]
    await driver.complete(task, *commands_of(*answers), messages=answers)
    record.note("failing", await asked)
    await record.call("failing again", update(driver, "failing"))
    await record.call("failing polled", poll_update(driver, "failing"))
    record.events("history", await driver.history())
    return record


@scenario
async def update_rejected(env: ScenarioEnv) -> Recording:
    """A refused update leaves no trace, and may be asked for again."""
    record, driver = env.recording(), Driver(env)
    await idle(driver)
    for number in range(2):
        asked = asyncio.create_task(update(driver))
        task = await driver.poll()
        record.note(f"{number}: task", task)
        record.note(f"{number}: done", await driver.complete(task, messages=[reject()]))
        record.note(f"{number}: answer", await asked)
        await record.call(f"{number}: polled", poll_update(driver))
    asked = asyncio.create_task(update(driver, "ignored"))
    record.note("ignored: done", await driver.step())
    record.note("ignored: answer", await asked)
    record.note("described", (await driver.describe()).workflow_execution_info.history_length)
    record.events("history", await driver.history())
    return record


@scenario
async def update_rejected_beside_events(env: ScenarioEnv) -> Recording:
    """A refused update whose task has brought events: they are shown again, if the SDK can."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 60))
    for discards in (True, False):
        asked = asyncio.create_task(update(driver))
        task = await driver.poll()
        capabilities = {"discard_speculative_workflow_task_with_events": discards}
        done = await driver.complete(task, messages=[reject()], capabilities=capabilities)
        record.note(f"{discards}: done", done)
        record.note(f"{discards}: answer", await asked)
    record.events("history", await driver.history())
    return record


@scenario
async def updates_in_one_task(env: ScenarioEnv) -> Recording:
    """Two updates wait for the first task; one is refused, and a third comes while it is run."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    first = asyncio.create_task(update(driver, "first"))
    await driver.round_trips()
    second = asyncio.create_task(update(driver, "second"))
    await driver.round_trips()
    task = await driver.poll()
    record.note("task", task)
    record.note("requests", requests(task))
    third = asyncio.create_task(update(driver, "third"))
    await driver.round_trips()
    answers = [accept("first"), respond("first"), reject("second")]
    done = await driver.complete(
        task, *commands_of(*answers[:2]), messages=answers, return_new_workflow_task=True
    )
    record.note("next task", done)
    record.note("first", await first)
    record.note("second", await second)
    done = await driver.complete(
        done.workflow_task, messages=[reject("third")], return_new_workflow_task=True
    )
    record.note("last", done)
    record.note("third", await third)
    record.events("history", await driver.history())
    return record


@scenario
async def update_without_new_task_in_answer(env: ScenarioEnv) -> Recording:
    """An update comes while a task is run whose worker does not take the next one at once."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    task = await driver.poll()
    asked = asyncio.create_task(update(driver))
    await driver.round_trips()
    await driver.complete(task)
    task = await driver.poll()
    record.note("task", task)
    await driver.complete(task, messages=[reject()])
    record.note("answer", await asked)
    record.events("history", await driver.history())
    return record


@scenario
async def update_and_signals(env: ScenarioEnv) -> Recording:
    """Signals come while a speculative task waits, and while it is run."""
    record, driver = env.recording(), Driver(env)
    await idle(driver)
    asked = asyncio.create_task(update(driver))
    await driver.round_trips()
    await driver.signal("before")
    task = await driver.poll()
    record.note("task", task)
    await driver.complete(task, messages=[reject()])
    record.note("answer", await asked)
    asked = asyncio.create_task(update(driver))
    task = await driver.poll()
    await driver.signal("while run")
    record.note("done", await driver.complete(task, messages=[reject()]))
    record.note("second answer", await asked)
    await driver.step()
    record.events("history", await driver.history())
    return record


@scenario
async def update_without_worker(env: ScenarioEnv) -> Recording:
    """Nobody polls: the speculative task becomes a normal one, and the client's time is up."""
    record, driver = env.recording(), Driver(env)
    await idle(driver)
    asked = asyncio.create_task(update(driver, wait=ACCEPTED, timeout=25.0))
    await driver.event("WORKFLOW_TASK_TIMED_OUT")
    record.events("history", await driver.history())
    await record.call("answer", asked)
    await record.call("polled", poll_update(driver, wait=None))
    task = await driver.poll()
    record.note("task", task)
    await driver.complete(task, messages=[reject()])
    record.events("at last", await driver.history())
    return record


@scenario
async def update_on_sticky_queue(env: ScenarioEnv) -> Recording:
    """The sticky worker gets the update; when it has gone, another one does."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 60), **driver.sticky(seconds=2))
    poll = asyncio.create_task(driver.poll(sticky=True))
    await driver.round_trips()
    asked = asyncio.create_task(update(driver, "one"))
    task = await poll
    record.note("sticky task", task)
    record.events("shown", await driver.history())
    answers = [accept("one"), respond("one")]
    await driver.complete(
        task, *commands_of(*answers), messages=answers, **driver.sticky(seconds=2)
    )
    record.note("one", await asked)
    asked = asyncio.create_task(update(driver, "two"))
    task = await driver.poll()
    record.note("other task", task)
    await driver.complete(task, messages=[reject("two")])
    record.note("two", await asked)
    record.events("history", await driver.history())
    return record


@scenario
async def update_task_fails(env: ScenarioEnv) -> Recording:
    """A task with an update fails, or times out: the update is sent again with the next one."""
    record, driver = env.recording(), Driver(env)
    await driver.start(workflow_task_timeout={"seconds": 1})
    await driver.step()
    asked = asyncio.create_task(update(driver))
    task = await driver.poll()
    await driver.fail_task(task)
    task = await driver.poll()
    record.note("after failure", task)
    await driver.complete(task, messages=[reject()])
    record.note("answer", await asked)
    asked = asyncio.create_task(update(driver))
    await driver.poll()
    task = await driver.poll()
    record.note("after timeout", task)
    await driver.complete(task, messages=[reject()])
    record.note("second answer", await asked)
    record.events("history", await driver.history())
    return record


@scenario
async def update_bad_messages(env: ScenarioEnv) -> Recording:
    """Messages that cannot be: their task fails, and so do the updates that came with it."""
    record = env.recording()
    cases = {
        "absent": (commands_of(accept()), []),
        "unknown": ([], [accept("other")]),
        "response first": ([], [respond()]),
        "accepted twice": ([], [accept(), _again(accept())]),
        "rejected after acceptance": ([], [accept(), reject()]),
        "no id": (commands_of(_again(accept(), "")), [accept()]),
        "mismatch": ([], [accept(), _other_meta()]),
        "no outcome": ([], [accept(), _no_outcome()]),
        "strange body": ([], [_strange_body()]),
    }
    for name, (commands, messages) in cases.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        await idle(driver)
        asked = asyncio.create_task(update(driver, timeout=4.0))
        task = await driver.poll()
        await record.call(f"{name}: done", driver.complete(task, *commands, messages=messages))
        await driver.round_trips()
        await driver.terminate()
        await record.call(f"{name}: answer", asked)
        record.events(f"{name}: history", await driver.history())
    return record


@scenario
async def update_of_closing_workflow(env: ScenarioEnv) -> Recording:
    """A workflow closes: with an accepted update, with one that was sent, with one that was not."""
    record = env.recording()
    driver = Driver(env)
    await idle(driver)
    accepted = asyncio.create_task(update(driver, "accepted"))
    await driver.step(messages=[accept("accepted")])
    sent = asyncio.create_task(update(driver, "sent"))
    task = await driver.poll()
    admitted = asyncio.create_task(update(driver, "admitted"))
    await driver.round_trips()
    await record.call("done", driver.complete(task, complete_workflow()))
    await record.call("accepted", accepted)
    await record.call("sent", sent)
    await record.call("admitted", admitted)
    await record.call("accepted again", update(driver, "accepted"))
    await record.call("accepted polled", poll_update(driver, "accepted", wait=ACCEPTED))
    await record.call("sent polled", poll_update(driver, "sent"))
    record.events("history", await driver.history())
    return record


@scenario
async def update_of_terminated_workflow(env: ScenarioEnv) -> Recording:
    """A workflow is terminated while updates are under way."""
    record = env.recording()
    driver = Driver(env)
    await idle(driver)
    accepted = asyncio.create_task(update(driver, "accepted", wait=ACCEPTED))
    await driver.step(messages=[accept("accepted")])
    await accepted
    polled = asyncio.create_task(poll_update(driver, "accepted"))
    sent = asyncio.create_task(update(driver, "sent"))
    task = await driver.poll()
    await driver.terminate()
    await record.call("accepted", polled)
    await record.call("sent", sent)
    await record.call("done", driver.complete(task, messages=[reject("sent")]))
    record.events("history", await driver.history())
    driver = Driver(env, workflow="other", queue="other-queue")
    await idle(driver)
    waiting = asyncio.create_task(update(driver))
    await driver.round_trips()
    await driver.terminate()
    await record.call("waiting", waiting)
    record.events("other history", await driver.history())
    return record


@scenario
async def update_of_closing_workflow_with_answers(env: ScenarioEnv) -> Recording:
    """The task that closes the workflow accepts, completes and refuses updates."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    asked = {}
    for name in ("completed", "accepted", "rejected", "late"):
        asked[name] = asyncio.create_task(update(driver, name))
        await driver.round_trips()
    task = await driver.poll()
    answers = [accept("completed"), respond("completed"), accept("accepted"), reject("rejected")]
    late = [accept("late")]
    await record.call(
        "done",
        driver.complete(
            task, *commands_of(*answers[:3]), complete_workflow(), messages=answers + late
        ),
    )
    for name, answer in asked.items():
        await record.call(name, answer)
    record.events("history", await driver.history())
    return record


@scenario
async def update_in_heartbeat(env: ScenarioEnv) -> Recording:
    """A worker heartbeats a task with an update; another comes meanwhile."""
    record, driver = env.recording(), Driver(env)
    await idle(driver)
    one = asyncio.create_task(update(driver, "one"))
    task = await driver.poll()
    two = asyncio.create_task(update(driver, "two"))
    await driver.round_trips()
    done = await driver.complete(
        task, force_create_new_workflow_task=True, return_new_workflow_task=True
    )
    record.note("heartbeat", done)
    record.note(
        "done",
        await driver.complete(done.workflow_task, messages=[reject("one"), reject("two")]),
    )
    record.note("one", await one)
    record.note("two", await two)
    record.events("history", await driver.history())
    return record


@scenario
async def update_close_with_unseen_events(env: ScenarioEnv) -> Recording:
    """A worker that has not seen all signals wants to close the workflow; an update comes."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    task = await driver.poll()
    await driver.signal("unseen")
    await record.call("refused", driver.complete(task, complete_workflow()))
    task = await driver.poll()
    record.note("task", task)
    await record.call("update", update(driver, timeout=10.0))
    await record.call("closed", driver.complete(task, complete_workflow()))
    await record.call("afterwards", update(driver, timeout=10.0))
    record.events("history", await driver.history())
    return record


@scenario
async def update_limits(env: ScenarioEnv) -> Recording:
    """Ten updates may be in flight; a run whose tasks fail takes none."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    waiting = []
    for number in range(10):
        waiting.append(asyncio.create_task(update(driver, f"u{number}")))
        await driver.round_trips()
    await record.call("eleventh", update(driver, "u10"))
    for answer in waiting:
        answer.cancel()
    driver = Driver(env, workflow="failing", queue="failing-queue")
    await driver.start()
    await driver.fail_task(await driver.poll())
    await driver.fail_task(await driver.poll())
    await driver.poll()
    await record.call("failing", update(driver, "failing"))
    return record


@scenario
async def update_during_start_delay(env: ScenarioEnv) -> Recording:
    """A workflow whose first task waits is given one for an update at once."""
    record, driver = env.recording(), Driver(env)
    for name, delay in (("accepted", 60), ("rejected", 2)):
        driver = Driver(env, workflow=name, queue=f"{name}-queue")
        await driver.start(workflow_start_delay={"seconds": delay})
        asked = asyncio.create_task(update(driver))
        task = await driver.poll()
        record.note(f"{name}: task", task)
        answers = [accept(), respond()] if name == "accepted" else [reject()]
        record.note(f"{name}: done", await driver.complete(task, messages=answers))
        record.note(f"{name}: answer", await asked)
        await driver.signal("end")
        await driver.step(complete_workflow())
        record.events(f"{name}: history", await driver.history())
    return record


@scenario
async def update_resurrected(env: ScenarioEnv) -> Recording:
    """A worker answers for an update that the server does not know, and sends its request along."""
    record, driver = env.recording(), Driver(env)
    await idle(driver)
    asked = asyncio.create_task(update(driver))
    task = await driver.poll()
    lost = requests(task)["u"]
    lost.meta.update_id = "lost"
    answers = [reject(), accept("lost", lost), respond("lost")]
    await record.call("done", driver.complete(task, messages=answers))
    record.note("answer", await asked)
    await record.call("lost", poll_update(driver, "lost"))
    record.events("history", await driver.history())
    return record


@scenario
async def update_invalid(env: ScenarioEnv) -> Recording:
    """Requests that are not in order."""
    record, driver = env.recording(), Driver(env)
    await record.call("missing workflow", update(driver))
    await record.call("missing workflow polled", poll_update(driver))
    await idle(driver)
    good = {"meta": {"update_id": "u"}, "input": {"name": "change"}}
    await record.call("admitted", update(driver, wait=ADMITTED))
    for name, request in {
        "no request": None,
        "no meta": good | {"meta": None},
        "no input": good | {"input": None},
        "no name": good | {"input": {}},
        "callbacks": good | {"completion_callbacks": [{"nexus": {"url": "http://localhost"}}]},
        "long id": good | {"meta": {"update_id": "u" * 1001}},
    }.items():
        await record.call(name, update(driver, request=request))
    await record.call("no execution", update(driver, workflow_execution=None))
    await record.call("no workflow", update(driver, workflow_execution={}))
    await record.call("bad run", update(driver, "u", "no-uuid"))
    await record.call("other chain", update(driver, first_execution_run_id="other"))
    await record.call("no such namespace", update(driver, namespace="no-such-namespace"))
    await record.call("poll: no id", poll_update(driver, ""))
    await record.call("poll: bad run", poll_update(driver, "u", "no-uuid"))
    return record


def _again(message: ProtocolMessage, message_id: str = "again") -> ProtocolMessage:
    repeated = ProtocolMessage()
    repeated.CopyFrom(message)
    repeated.id = message_id
    return repeated


def _other_meta() -> ProtocolMessage:
    body = build(Response, meta={"update_id": "other"}, outcome={"success": payloads("x")})
    return message("u", body, kind="complete")


def _no_outcome() -> ProtocolMessage:
    return message("u", build(Response, meta={"update_id": "u"}), kind="complete")


def _strange_body() -> ProtocolMessage:
    return message("u", payloads("x"), kind="strange")
