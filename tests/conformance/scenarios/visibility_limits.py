"""Visibility queries that are too much."""

from functools import partial

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario
from conformance.scenarios.visibility import patiently


@scenario
async def visibility_queries_too_large(env: ScenarioEnv) -> Recording:
    """Queries that nest too deep are refused."""
    record = env.recording()
    for name, query in {
        "parentheses": "(" * 200 + "ConformanceInt = 1" + ")" * 200,
        "fewer": "(" * 199 + "ConformanceInt = 1" + ")" * 199,
        "negations": "NOT " * 200 + "ConformanceInt = 1",
        "no end": "(" * 150,
    }.items():
        request = build(wf.CountWorkflowExecutionsRequest, namespace=NAMESPACE, query=query)
        answer = patiently(partial(call, env, request, wf.CountWorkflowExecutionsResponse))
        await record.call(name, answer, show=lambda _: "OK")
    return record
