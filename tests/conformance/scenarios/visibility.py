"""Visibility: every operator on every type, refusals, counts in groups, old listings, the CLI.

Workflows of a scenario have a task queue of their own, by which queries find them alone.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import grpc
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    search_value,
    upsert_search_attributes,
)
from conformance.driver import Driver, application_failure, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, SEARCH_ATTRIBUTES, ScenarioEnv, scenario

FIRST = {
    "ConformanceKeyword": '"abc"',
    "ConformanceKeywordList": '["x","y"]',
    "ConformanceText": '"Hello big-World, foo_bar"',
    "ConformanceInt": "5",
    "ConformanceDouble": "1.5",
    "ConformanceBool": "true",
    "ConformanceDatetime": '"2024-01-01T00:00:00Z"',
}
_SECOND = {
    "ConformanceKeyword": '"abd"',
    "ConformanceKeywordList": '["x z"]',
    "ConformanceText": '"hello there"',
    "ConformanceInt": "-7",
    "ConformanceDouble": "2",
    "ConformanceBool": "false",
    "ConformanceDatetime": '"2024-01-02T00:00:00.5+01:00"',
}
_Answer = TypeVar("_Answer")
_ORDER = ("=", "!=", "<", "<=", ">", ">=")


def _attributes(values: dict[str, str]) -> dict[str, Any]:
    fields = {
        name: search_value(SEARCH_ATTRIBUTES.get(name, "Keyword"), text)
        for name, text in values.items()
    }
    return {"indexed_fields": fields}


class Listed:
    """Workflows on a task queue, and questions about them."""

    def __init__(self, env: ScenarioEnv, record: Recording) -> None:
        self._env = env
        self._record = record
        self.drivers: list[Driver] = []

    async def start(self, name: str, values: dict[str, str], **fields: Any) -> Driver:
        driver = Driver(self._env, workflow=f"wf-{name}")
        if values:
            fields["search_attributes"] = _attributes(values)
        await driver.start(**fields)
        self.drivers.append(driver)
        return driver

    async def three(self) -> None:
        """Starts one without search attributes and two with all of them."""
        await self.start("none", {})
        await self.start("first", FIRST)
        await self.start("second", _SECOND)
        await self.seen(3)

    def mine(self, condition: str) -> str:
        """Returns a query of which only these workflows are asked."""
        queue = f"TaskQueue = '{self._env.name('queue')}'"
        return f"{queue} AND ({condition})" if condition else queue

    async def seen(self, number: int, condition: str = "") -> None:
        """Waits until so many are visible."""

        async def visible() -> bool:
            return (await patiently(partial(self.count, condition))).count == number

        await until(visible, what=f"{number} workflows in visibility")

    async def count(self, condition: str, group: str = "") -> wf.CountWorkflowExecutionsResponse:
        request = build(
            wf.CountWorkflowExecutionsRequest,
            namespace=NAMESPACE,
            query=f"{self.mine(condition)} {group}".strip(),
        )
        return await call(self._env, request, wf.CountWorkflowExecutionsResponse)

    async def found(self, condition: str) -> wf.ListWorkflowExecutionsResponse:
        request = build(
            wf.ListWorkflowExecutionsRequest, namespace=NAMESPACE, query=self.mine(condition)
        )
        return await call(self._env, request, wf.ListWorkflowExecutionsResponse)

    async def ask(self, conditions: Iterable[str]) -> None:
        """Records what each condition finds, and that the count agrees."""
        await self.ask_named({condition: condition for condition in conditions})

    async def ask_named(self, conditions: Mapping[str, str]) -> None:
        """The same of conditions that are called by other names."""
        for name, condition in conditions.items():
            found = patiently(partial(self.found, condition))
            await self._record.call(name, found, show=_ids)
            counted = patiently(partial(self.count, condition))
            await self._record.call(f"count: {name}", counted, show=lambda answer: answer.count)

    async def end(self) -> None:
        for driver in self.drivers:
            await driver.terminate()


async def patiently(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Asks again while the server says that it is asked too often."""

    async def answer() -> tuple[_Answer] | None:
        try:
            return (await ask(),)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            return None

    (answered,) = await until(answer, what="an answer of a server that is asked less often")
    return answered


def _ids(
    listed: wf.ListWorkflowExecutionsResponse
    | wf.ListOpenWorkflowExecutionsResponse
    | wf.ListClosedWorkflowExecutionsResponse,
) -> list[str]:
    return sorted(item.execution.workflow_id for item in listed.executions)


async def _asked(env: ScenarioEnv, conditions: Sequence[str]) -> Recording:
    record = env.recording()
    listed = Listed(env, record)
    await listed.three()
    await listed.ask(conditions)
    await listed.end()
    return record


@scenario
async def visibility_keywords(env: ScenarioEnv) -> Recording:
    """Every operator on a Keyword, where it is set and where it is missing."""
    name = "ConformanceKeyword"
    return await _asked(
        env,
        [
            *(f"{name} {operator} 'abc'" for operator in _ORDER),
            f"NOT {name} = 'abc'",
            f"{name} IN ('abc', 'nope')",
            f"{name} NOT IN ('abc', 'nope')",
            f"{name} BETWEEN 'abb' AND 'abc'",
            f"{name} NOT BETWEEN 'abb' AND 'abc'",
            f"{name} IS NULL",
            f"{name} IS NOT NULL",
            f"{name} STARTS_WITH 'ab'",
            f"{name} NOT STARTS_WITH 'abd'",
            f"{name} STARTS_WITH 'a%'",
            f"NOT ({name} = 'abc' OR ConformanceInt = -7)",
            f"{name} = 'abc' OR {name} IS NULL AND ConformanceInt IS NULL",
        ],
    )


@scenario
async def visibility_lists_and_texts(env: ScenarioEnv) -> Recording:
    """Every operator on a KeywordList and a Text, where they are set and where they are missing."""
    conditions = []
    for name, one, other in (
        ("ConformanceKeywordList", "x", "nope"),
        ("ConformanceText", "hello", "nope"),
    ):
        conditions += [
            *(f"{name} {operator} '{one}'" for operator in _ORDER),
            f"NOT {name} = '{other}'",
            f"{name} IN ('{one}', '{other}')",
            f"{name} NOT IN ('{one}', '{other}')",
            f"{name} IS NULL",
            f"{name} IS NOT NULL",
            f"{name} BETWEEN '{one}' AND '{other}'",
            f"{name} STARTS_WITH '{one}'",
        ]
    conditions += ["ConformanceText = 'world'", "ConformanceText = 'foo there'"]
    return await _asked(env, conditions)


@scenario
async def visibility_numbers(env: ScenarioEnv) -> Recording:
    """Every operator on Int, Double and Bool, where they are set and where they are missing."""
    conditions = []
    for name, one, other in (
        ("ConformanceInt", "5", "7"),
        ("ConformanceDouble", "1.5", "3"),
        ("ConformanceBool", "true", "false"),
    ):
        conditions += [
            *(f"{name} {operator} {one}" for operator in _ORDER),
            f"{name} IN ({one}, {other})",
            f"{name} NOT IN ({one})",
            f"{name} BETWEEN {one} AND {other}",
            f"{name} NOT BETWEEN {one} AND {other}",
            f"{name} IS NULL",
            f"{name} IS NOT NULL",
            f"{name} STARTS_WITH {one}",
            f"{name} = '{one}'",
        ]
    conditions += ["ConformanceInt = 5.0", "ConformanceInt > 4.5", "ConformanceDouble = 2"]
    return await _asked(env, conditions)


@scenario
async def visibility_datetimes(env: ScenarioEnv) -> Recording:
    """Every operator on a Datetime, and every form of a time that is taken or refused."""
    # The dev server compares times as texts of different forms, so that none is ever equal to one
    # that was set; its other stores do not, nor does Perdure. Noon lies between those that are set.
    name = "ConformanceDatetime"
    first = "'2024-01-01T12:00:00Z'"
    return await _asked(
        env,
        [
            *(f"{name} {operator} {first}" for operator in _ORDER),
            f"{name} IN ({first}, '2025-01-01T00:00:00Z')",
            f"{name} NOT IN ({first})",
            f"{name} BETWEEN {first} AND '2024-01-01T23:30:00.5Z'",
            f"{name} NOT BETWEEN {first} AND '2024-01-01T18:00:00Z'",
            f"{name} IS NULL",
            f"{name} STARTS_WITH '2024'",
            f"{name} < '2024-01-01T13:00:00+01:00'",
            f"{name} > '2024-01-01T13:00:00-10:00'",
            f"{name} < '2024-01-01T12:00:00.000000000Z'",
            f"{name} < 1704110400000000000",
            f"{name} > 1.5",
            f"{name} > '2024-01-01'",
            f"{name} > '2024-01-01 00:00:00'",
            f"{name} > '2024-01-01T00:00:00'",
            f"{name} > '1704067200000000000'",
            f"{name} > 'yesterday'",
            f"{name} > '9999-12-31T00:00:00Z'",
            f"{name} > '0001-01-01T00:00:00Z'",
            "StartTime > '2024-01-01T00:00:00Z' AND ExecutionTime > '2024-01-01T00:00:00Z'",
            "StartTime > 0 AND StartTime < 1704067200000000000",
            "CloseTime IS NULL",
        ],
    )


@scenario
async def visibility_system_attributes(env: ScenarioEnv) -> Recording:
    """The attributes that every workflow has, of open and of closed runs."""
    record = env.recording()
    listed = Listed(env, record)
    done = await listed.start("done", {})
    await done.step(complete_workflow())
    failed = await listed.start("failed", {}, workflow_type={"name": "Other"})
    await failed.step(fail_workflow(application_failure("no")))
    still = await listed.start("open", {})
    await listed.seen(2, "ExecutionStatus != 'Running'")
    run_id = (await still.describe()).workflow_execution_info.execution.run_id
    workflow_id = still.workflow_id
    await listed.ask_named(
        {
            "workflow id": f"WorkflowId = '{workflow_id}'",
            "workflow ids": f"WorkflowId IN ('{workflow_id}', 'nope')",
            "run id": f"RunId = '{run_id}'",
            "another run id": f"RunId != '{run_id}'",
            "root": f"RootWorkflowId = '{workflow_id}' AND RootRunId = '{run_id}'",
        }
    )
    await listed.ask(
        [
            "WorkflowId STARTS_WITH 'wf-do'",
            "WorkflowType = 'Other'",
            "WorkflowType != 'Other'",
            "ParentWorkflowId IS NULL",
            "ParentRunId = 'nope'",
            *(
                f"ExecutionStatus {text}"
                for text in (
                    *("= 'Running'", "= 1", "!= 'Running'", "IN ('Completed', 3)", "NOT IN (2, 3)"),
                    *("> 'Running'", "BETWEEN 1 AND 2", "= 'Timedout'", "= 'running'", "= '1'"),
                    *("= 99", "STARTS_WITH 'R'", "IS NULL", "= true", "= 1.5"),
                )
            ),
            "HistoryLength > 4",
            "HistoryLength <= 5",
            "HistoryLength IS NULL",
            "HistorySizeBytes > 0",
            "StateTransitionCount > 0",
            "CloseTime > '2024-01-01T00:00:00Z'",
            "CloseTime IS NOT NULL",
            "TemporalWorkerDeployment IS NULL",
            "TemporalWorkflowVersioningBehavior IS NULL AND TemporalPauseInfo IS NULL",
            "BuildIds = 'nope' OR TemporalChangeVersion = 'nope'",
            "TemporalScheduledById = 'nope' OR TemporalSchedulePaused = true",
            "TemporalScheduledStartTime > '2024-01-01T00:00:00Z'",
        ]
    )
    await still.terminate()
    return record


@scenario
async def visibility_durations(env: ScenarioEnv) -> Recording:
    """ExecutionDuration in every form that is taken or refused."""
    record = env.recording()
    listed = Listed(env, record)
    done = await listed.start("done", {})
    await done.step(complete_workflow())
    await listed.start("open", {})
    await listed.seen(1, "ExecutionStatus = 'Completed'")
    forms = (
        *("'1h'", "'1h30m'", "'36h'", "'1.5h'", "'2d'", "'1d12h'", "'100ms'", "'-1s'", "'1000us'"),
        *("'10:00:00'", "'1:2:3'", "'25:61:00'", "3600000000000", "'3600000000000'", "'1 h'"),
        *("'1w'", "'h'", "''", "1.5", "true", "'1h', '2h'"),
    )
    await listed.ask(
        [
            *(f"ExecutionDuration < {form}" for form in forms[:-1]),
            f"ExecutionDuration NOT IN ({forms[-1]})",
            "ExecutionDuration BETWEEN '0s' AND '1h'",
            "ExecutionDuration IS NULL",
            "ExecutionDuration STARTS_WITH '1'",
        ]
    )
    await listed.drivers[1].terminate()
    return record


@scenario
async def visibility_groups(env: ScenarioEnv) -> Recording:
    """Counts in groups: by status and by division, and what else is refused."""
    record = env.recording()
    listed = Listed(env, record)
    done = await listed.start("done", FIRST)
    await done.step(complete_workflow())
    await listed.start("open", _SECOND)
    await listed.start("divided", {"TemporalNamespaceDivision": '"Mine"'})
    await listed.seen(1, "ExecutionStatus = 'Completed'")
    await listed.seen(1, "TemporalNamespaceDivision = 'Mine'")
    for condition, group in (
        ("", "GROUP BY ExecutionStatus"),
        ("ConformanceInt = 5", "GROUP BY ExecutionStatus"),
        ("ConformanceInt = 99", "GROUP BY ExecutionStatus"),
        ("", "GROUP BY TemporalNamespaceDivision"),
        ("ConformanceInt IS NULL", "GROUP BY NamespaceDivision"),
        ("", "GROUP BY WorkflowType"),
        ("", "GROUP BY ConformanceKeyword"),
        ("", "GROUP BY ExecutionStatus, WorkflowType"),
        ("", "GROUP BY 'ExecutionStatus'"),
        ("", "GROUP BY Nope"),
        ("", "GROUP BY"),
    ):
        counted = patiently(partial(listed.count, condition, group))
        await record.call(f"{condition} {group}".strip(), counted)
    await listed.drivers[1].terminate()
    await listed.drivers[2].terminate()
    return record


@scenario
async def visibility_pages_while_rows_change(env: ScenarioEnv) -> Recording:
    """A page token goes on from where it was, though what was listed has changed since."""
    record = env.recording()
    listed = Listed(env, record)
    for number in range(5):
        await listed.start(f"{number}", {})
        await listed.seen(number + 1)
    request = build(
        wf.ListWorkflowExecutionsRequest,
        namespace=NAMESPACE,
        query=listed.mine(""),
        page_size=2,
    )
    pages = []
    for _ in range(3):
        page = await patiently(partial(call, env, request, wf.ListWorkflowExecutionsResponse))
        pages.append(_ids(page))
        request.next_page_token = page.next_page_token
        # The ones just listed close, which moves them behind those that are still to come.
        for item in page.executions:
            if len(pages) == 1:
                stem = item.execution.workflow_id.removesuffix(f"-{env.nonce}")
                await Driver(env, workflow=stem).terminate()
        await listed.seen(2, "ExecutionStatus = 'Terminated'")
    record.note("pages of open ones", pages[:2])
    scan = build(
        wf.ScanWorkflowExecutionsRequest, namespace=NAMESPACE, query=listed.mine(""), page_size=3
    )
    first = await patiently(partial(call, env, scan, wf.ScanWorkflowExecutionsResponse))
    record.note("scanned", len(first.executions))
    scan.next_page_token = first.next_page_token
    second = await patiently(partial(call, env, scan, wf.ScanWorkflowExecutionsResponse))
    record.note("scanned then", [len(second.executions), bool(second.next_page_token)])
    for driver in listed.drivers[:3]:
        await driver.terminate()
    return record


@scenario
async def visibility_open_and_closed(env: ScenarioEnv) -> Recording:
    """The old listings of open and closed workflows, with each of their filters."""
    record = env.recording()
    listed = Listed(env, record)
    done = await listed.start("done", {})
    await done.step(complete_workflow())
    still = await listed.start("open", {})
    await listed.seen(1, "ExecutionStatus = 'Completed'")
    await listed.seen(2)
    ever: dict[str, Any] = {"earliest_time": {"seconds": 1}, "latest_time": {"seconds": 1 << 32}}
    never: dict[str, Any] = {"earliest_time": {"seconds": 9}, "latest_time": {"seconds": 1}}
    long_ago: dict[str, Any] = {"latest_time": {"seconds": 1}}
    began = (await done.describe()).workflow_execution_info.start_time
    by_id = {"execution_filter": {"workflow_id": done.workflow_id}}
    filters: dict[str, dict[str, Any]] = {
        "by id": by_id,
        "by id, started ever": {**by_id, "start_time_filter": ever},
        "by id, started long ago": {**by_id, "start_time_filter": long_ago},
        "started the wrong way round": {**by_id, "start_time_filter": never},
        "by id and run": {"execution_filter": {"workflow_id": done.workflow_id, "run_id": "nope"}},
        "by status, started since": {
            "start_time_filter": {"earliest_time": began},
            "status_filter": {"status": 2},
        },
        "by the status of open ones": {"status_filter": {"status": 1}},
        "by no status": {"status_filter": {}},
        "by type of nobody": {"type_filter": {"name": env.name("nobody")}},
        "a page too long": {**by_id, "maximum_page_size": 100_000},
    }
    for name, fields in filters.items():
        request = build(wf.ListClosedWorkflowExecutionsRequest, namespace=NAMESPACE, **fields)
        answer = patiently(partial(call, env, request, wf.ListClosedWorkflowExecutionsResponse))
        await record.call(f"closed {name}", answer, show=_ids)
    still_by_id = {"execution_filter": {"workflow_id": still.workflow_id}}
    for name, fields in {
        "by id": still_by_id,
        "by id of a closed one": by_id,
        "by id, started ever": {**still_by_id, "start_time_filter": ever},
        "started the wrong way round": {"start_time_filter": never},
        "by type of nobody": {"type_filter": {"name": env.name("nobody")}},
    }.items():
        opened = build(wf.ListOpenWorkflowExecutionsRequest, namespace=NAMESPACE, **fields)
        found = patiently(partial(call, env, opened, wf.ListOpenWorkflowExecutionsResponse))
        await record.call(f"open {name}", found, show=_ids)
    archived = build(wf.ListArchivedWorkflowExecutionsRequest, namespace=NAMESPACE)
    await record.call("archived", call(env, archived, wf.ListArchivedWorkflowExecutionsResponse))
    await still.terminate()
    return record


@scenario
async def visibility_of_attributes_set_later(env: ScenarioEnv) -> Recording:
    """Search attributes of signal-with-start, of upserts and of continue-as-new are found."""
    record = env.recording()
    listed = Listed(env, record)
    driver = Driver(env, workflow="wf-signalled")
    await driver.signal_with_start("go", search_attributes=_attributes(FIRST))
    listed.drivers.append(driver)
    await listed.seen(1, "ConformanceInt = 5")
    await listed.ask(["ConformanceKeyword = 'abc'", "ConformanceText = 'big'"])
    await driver.step(
        upsert_search_attributes(
            ConformanceKeyword=search_value("Keyword", '"later"'),
            ConformanceKeywordList=search_value("KeywordList", "[]"),
        )
    )
    await listed.seen(1, "ConformanceKeyword = 'later'")
    await listed.ask(["ConformanceKeyword IN ('abc')", "ConformanceKeywordList IS NULL"])
    await driver.signal("again")
    await driver.step(
        continue_as_new(driver.queue, search_attributes=_attributes({"ConformanceInt": "9"}))
    )
    await listed.seen(1, "ConformanceInt = 9")
    await listed.ask(
        [
            "ConformanceInt = 9 AND ConformanceKeyword IS NULL AND ExecutionStatus = 'Running'",
            "ConformanceKeyword = 'later' AND ExecutionStatus = 'ContinuedAsNew'",
        ]
    )
    await listed.end()
    return record
