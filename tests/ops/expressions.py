"""Reads PromQL: which metrics and labels an expression names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import promql_parser as promql

from perdure.telemetry import catalogue
from perdure.telemetry.metric import Kind, Metric
from perdure_alerts.promql import PARTS, TARGET_LABELS

METRICS: Mapping[str, Metric] = {
    metric.name: metric for metric in (*catalogue.CATALOGUE, *catalogue.PROCESS)
}
VARIABLES = {"$__rate_interval": "5m", "$percentile": "0.99"}
_GROUPING = (promql.AggModifierType.By,)


@dataclass(frozen=True, slots=True)
class Named:
    """A series that an expression asks for, with the labels that it names of it.

    Attributes:
        name: The series.
        labels: Of its matchers, and of the aggregations around it.
        rated: Whether a rate or an increase is taken of it, or what is new.
    """

    name: str
    labels: frozenset[str]
    rated: bool


def plain(expression: str) -> str:
    """Returns an expression with a board's variables replaced, those that are no strings."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def named(expression: str) -> list[Named]:
    """Returns every series that an expression names.

    Raises:
        ValueError: It is no PromQL.
    """
    return list(_walk(promql.parse(plain(expression)), frozenset(), rated=False))


def _walk(node: promql.Expr, labels: frozenset[str], *, rated: bool) -> Iterator[Named]:
    match node:
        case promql.AggregateExpr():
            if node.modifier is not None:
                assert node.modifier.type in _GROUPING, "aggregations name what they keep"
                labels |= set(node.modifier.labels)
            yield from _walk(node.expr, labels, rated=rated)
        case promql.BinaryExpr():
            rated = rated or _asks_for_new(node)
            yield from _walk(node.lhs, labels, rated=rated)
            yield from _walk(node.rhs, labels, rated=rated)
        case promql.ParenExpr() | promql.UnaryExpr():
            yield from _walk(node.expr, labels, rated=rated)
        case promql.Call():
            counts = node.func.name in {"rate", "increase"}
            for argument in node.args:
                yield from _walk(argument, labels, rated=rated or counts)
        case promql.MatrixSelector():
            yield from _walk(node.vector_selector, labels, rated=rated)
        case promql.VectorSelector():
            matched = {matcher.name for matcher in node.matchers.matchers}
            assert node.name is not None, "series are asked for by name"
            yield Named(node.name, labels | matched, rated)
        case promql.NumberLiteral() | promql.StringLiteral():
            return
        case _:
            raise AssertionError(f"{type(node).__name__} is not looked into")


def _asks_for_new(node: promql.BinaryExpr) -> bool:
    """Tells whether it asks for series that were not there before: an increase from nothing."""
    before = node.rhs
    is_past = isinstance(before, promql.VectorSelector) and before.offset is not None
    return is_past and str(node.op) == "unless"


def metric_of(series: str) -> Metric:
    """Returns the metric of a series.

    Raises:
        KeyError: The catalogue has none.
    """
    if series in METRICS and METRICS[series].kind is not Kind.HISTOGRAM:
        return METRICS[series]
    name, _, part = series.rpartition("_")
    metric = METRICS[name]
    if part not in PARTS or metric.kind is not Kind.HISTOGRAM:
        raise KeyError(series)
    return metric


def faults(expression: str) -> list[str]:
    """Returns what is wrong with the series and labels of an expression."""
    found = []
    for each in named(expression):
        try:
            metric = metric_of(each.name)
        except KeyError:
            found.append(f"{each.name} is not in the catalogue")
            continue
        bucket = {"le"} if each.name.endswith("_bucket") else set()
        unknown = each.labels - set(metric.labels) - TARGET_LABELS - bucket
        found += [f"{each.name} has no label {label}" for label in sorted(unknown)]
        rises = metric.kind is not Kind.GAUGE
        if rises != each.rated:
            found.append(f"{each.name} is a {metric.kind.value}, and used as if it were not")
    return found


def legend_labels(legend: str) -> set[str]:
    """Returns the labels that a legend names."""
    return set(re.findall(r"{{\s*\.?(\w+)\s*}}", legend))


def kept(expression: str) -> set[str]:
    """Returns the labels that the outermost aggregations of an expression keep."""
    return _kept(promql.parse(plain(expression)))


def _kept(node: promql.Expr) -> set[str]:
    match node:
        case promql.AggregateExpr():
            return set() if node.modifier is None else set(node.modifier.labels)
        case promql.BinaryExpr():
            return _kept(node.lhs) | _kept(node.rhs)
        case promql.ParenExpr() | promql.UnaryExpr():
            return _kept(node.expr)
        case promql.Call():
            return {label for argument in node.args for label in _kept(argument)}
        case _:
            return set()
