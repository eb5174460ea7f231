"""Callbacks on completion: which are taken, how they are kept, and where they are shown."""

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import CallbackInfo
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow, continue_as_new
from conformance.driver import Driver, until
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario_with
from conformance.settings import SMALL

_USE_EXISTING = "WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING"
_ATTACH = {"attach_request_id": True, "attach_completion_callbacks": True}


def _nexus(url: str, **header: str) -> Any:
    return {"nexus": {"url": url, "header": header}}


def _to(host: str, **header: str) -> Any:
    return _nexus(f"http://{host}.allowed.invalid/done", **header)


def _shown(description: wf.DescribeWorkflowExecutionResponse) -> list[CallbackInfo]:
    return sorted(description.callbacks, key=lambda info: info.callback.nexus.url)


def _with_callbacks(history: list[HistoryEvent]) -> list[HistoryEvent]:
    kinds = {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
    }
    return [event for event in history if event.event_type in kinds]


@scenario_with(*SMALL)
async def callbacks_are_shown(env: ScenarioEnv) -> Recording:
    """Callbacks of a start are in its event and in the description."""
    record, driver = env.recording(), Driver(env)
    await record.call(
        "start",
        driver.start(
            request_id=env.name("start"),
            completion_callbacks=[_to("a", key="value", Upper="Case"), _to("b")],
            links=[{"batch_job": {"job_id": "job"}}],
        ),
    )
    record.note("described", _shown(await driver.describe()))
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario_with(*SMALL)
async def callbacks_are_attached(env: ScenarioEnv) -> Recording:
    """Callbacks of a start that finds the workflow open are attached to it."""
    record, driver = env.recording(), Driver(env)
    await driver.start(request_id=env.name("start"), completion_callbacks=[_to("a")])

    def attached(name: str, *callbacks: Any, **options: bool) -> Any:
        return driver.start(
            request_id=env.name(name),
            workflow_id_conflict_policy=_USE_EXISTING,
            on_conflict_options=options or _ATTACH,
            completion_callbacks=callbacks,
            links=[{"batch_job": {"job_id": name}}],
        )

    await record.call("one", attached("one", _to("b", key="value")))
    await record.call("again", attached("one", _to("b", key="value")))
    await record.call("not asked for", attached("not", _to("x"), attach_request_id=True))
    await record.call("two more", attached("two", _to("c"), _to("d")))
    task = await driver.poll()
    await record.call("while a task is started", attached("buffered", _to("c")))
    record.note("described", (await driver.describe()).workflow_extended_info)
    record.note("callbacks", _shown(await driver.describe()))
    await record.call("full", attached("full", _to("e")))
    await driver.complete(task)
    record.note("described later", (await driver.describe()).workflow_extended_info)
    record.note("callbacks later", _shown(await driver.describe()))
    record.events("history", _with_callbacks(await driver.history()))
    await driver.terminate()
    return record


@scenario_with(*SMALL)
async def callbacks_are_refused(env: ScenarioEnv) -> Recording:
    """Callbacks to addresses that are not allowed, too many of them, and too large ones."""
    record, driver = env.recording(), Driver(env)
    for name, callbacks in {
        "not allowed": [_nexus("http://elsewhere.invalid/")],
        "secure": [_nexus("https://a.secure.invalid/done")],
        "insecure": [_nexus("http://a.secure.invalid/done")],
        "no host": [_nexus("http:///done")],
        "no url": [_nexus("http://%zz")],
        "port": [_nexus("http://a.allowed.invalid:80/")],
        "another port": [_nexus("http://a.allowed.invalid:8000/")],
        "upper case": [_nexus("HTTP://A.ALLOWED.INVALID/")],
        "user": [_nexus("http://me:secret@a.allowed.invalid/")],
        "long url": [_to("a" * 60)],
        "large header": [_to("a", key="v" * 40)],
        "large header in all": [_to("a", one="v" * 15, two="v" * 15, three="v" * 15)],
        "control": [_to("a\x01")],
        "blank": [_nexus("http://a b.allowed.invalid/")],
        "blank in path": [_nexus("http://a.allowed.invalid/a b")],
        "bad port": [_nexus("http://a.allowed.invalid:port/")],
        "bad escape": [_nexus("http://a.allowed.invalid/%zz")],
        "cut escape": [_nexus("http://a.allowed.invalid/%z")],
        "escaped host": [_nexus("http://a%41.allowed.invalid/")],
        "bracket": [_nexus("http://[::1/")],
        "bad host": [_nexus("http://a<b>.allowed.invalid/")],
        "no scheme": [_nexus(":a")],
        "no slashes": [_nexus("http:a.allowed.invalid")],
        "colon": [_nexus("a.allowed.invalid:80/")],
        "fragment": [_nexus("http://a.allowed.invalid/#part")],
        "many": [_to("a")] * 4,
        "too many": [_to("a")] * 5,
        "unset": [{}],
        "internal": [{"internal": {"data": b"x"}}],
        "system": [_nexus("temporal://system")],
        "internal url": [_nexus("temporal://internal")],
        "system with a path": [_nexus("temporal://system/path")],
    }.items():
        await record.call(
            name, driver.start(completion_callbacks=callbacks), show=lambda _: "started"
        )
        if record.steps[name] == "started":
            await driver.terminate()
    return record


@scenario_with(*SMALL)
async def callbacks_go_on(env: ScenarioEnv) -> Recording:
    """Continue-as-new hands callbacks on to the new run, those that were attached too."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start(request_id=env.name("start"), completion_callbacks=[_to("a")])
    await driver.start(
        request_id=env.name("attached"),
        workflow_id_conflict_policy=_USE_EXISTING,
        on_conflict_options=_ATTACH,
        completion_callbacks=[_to("b")],
    )
    await driver.step(continue_as_new(driver.queue))
    record.note("first run", _shown(await driver.describe(first.run_id)))
    record.note("second run", _shown(await driver.describe()))
    record.events("started", (await driver.history())[:1])
    await driver.step(complete_workflow())
    record.events("history", await driver.history(first.run_id))
    return record


@scenario_with(*SMALL)
async def callbacks_after_reset(env: ScenarioEnv) -> Recording:
    """A reset takes the callbacks over, those that were attached after the point too."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start(request_id=env.name("start"), completion_callbacks=[_to("a")])

    async def attach(name: str) -> None:
        await driver.start(
            request_id=env.name(name),
            workflow_id_conflict_policy=_USE_EXISTING,
            on_conflict_options=_ATTACH,
            completion_callbacks=[_to(name)],
        )

    await attach("b")
    await driver.step()
    await attach("c")
    await driver.reset(4)
    record.note("first run", _shown(await driver.describe(first.run_id)))
    record.note("second run", _shown(await driver.describe()))
    record.events("history", _with_callbacks(await driver.history()))
    await driver.terminate()
    return record


@scenario_with(*SMALL)
async def callbacks_when_closed(env: ScenarioEnv) -> Recording:
    """A workflow that has closed calls back: nobody is there, and it will do so again."""
    record, driver = env.recording(), Driver(env)
    await driver.start(completion_callbacks=[_to("a")])
    await driver.step(complete_workflow())

    async def tried() -> list[CallbackInfo] | None:
        shown = _shown(await driver.describe())
        return shown if shown[0].attempt else None

    try:
        shown = await until(tried, what="a first attempt", deadline=3.0)
    except TimeoutError:
        shown = _shown(await driver.describe())
    for info in shown:
        # Says what the resolver of this machine has said.
        info.ClearField("last_attempt_failure")
    record.note("callbacks", shown)
    return record
