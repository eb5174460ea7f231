"""The search attributes that exist: the system's, the predefined ones, and a namespace's own.

System attributes are columns of `VisibilityRow` or derived by the server. Predefined ones may be
set by workflows like custom ones, but exist in every namespace.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from perdure.core.visibility.query import Attribute, ValueType

_KEYWORD, _INT, _DATETIME = ValueType.KEYWORD, ValueType.INT, ValueType.DATETIME

STATUS: Final = Attribute("ExecutionStatus", _KEYWORD, "status")
DURATION: Final = Attribute("ExecutionDuration", _INT, "execution_duration")
START_TIME: Final = Attribute("StartTime", _DATETIME, "start_time")
WORKFLOW_ID: Final = Attribute("WorkflowId", _KEYWORD, "workflow_id")
RUN_ID: Final = Attribute("RunId", _KEYWORD, "run_id")
WORKFLOW_TYPE: Final = Attribute("WorkflowType", _KEYWORD, "workflow_type")
NAMESPACE_DIVISION: Final = Attribute("TemporalNamespaceDivision", _KEYWORD)
"""Whose workflows a run belongs to that is not an ordinary one, such as the scheduler's."""

SYSTEM: Final[Mapping[str, Attribute]] = {
    attribute.name: attribute
    for attribute in (
        WORKFLOW_ID,
        RUN_ID,
        WORKFLOW_TYPE,
        STATUS,
        DURATION,
        START_TIME,
        Attribute("ExecutionTime", _DATETIME, "execution_time"),
        Attribute("CloseTime", _DATETIME, "close_time"),
        Attribute("TaskQueue", _KEYWORD, "task_queue"),
        Attribute("HistoryLength", _INT, "history_length"),
        Attribute("HistorySizeBytes", _INT, "history_size_bytes"),
        Attribute("StateTransitionCount", _INT, "state_transition_count"),
        Attribute("ParentWorkflowId", _KEYWORD, "parent_workflow_id"),
        Attribute("ParentRunId", _KEYWORD, "parent_run_id"),
        Attribute("RootWorkflowId", _KEYWORD, "root_workflow_id"),
        Attribute("RootRunId", _KEYWORD, "root_run_id"),
    )
}
"""Attributes that a workflow has by itself; `ExecutionDuration` is derived from two columns."""

PREDEFINED: Final[Mapping[str, ValueType]] = {
    "BatcherNamespace": ValueType.KEYWORD,
    "BatcherUser": ValueType.KEYWORD,
    "BinaryChecksums": ValueType.KEYWORD_LIST,
    "BuildIds": ValueType.KEYWORD_LIST,
    "TemporalChangeVersion": ValueType.KEYWORD_LIST,
    NAMESPACE_DIVISION.name: NAMESPACE_DIVISION.value_type,
    "TemporalPauseInfo": ValueType.KEYWORD_LIST,
    "TemporalReportedProblems": ValueType.KEYWORD_LIST,
    "TemporalSchedulePaused": ValueType.BOOL,
    "TemporalScheduledById": ValueType.KEYWORD,
    "TemporalScheduledStartTime": ValueType.DATETIME,
}
"""Attributes that workflows may set in every namespace."""

DERIVED: Final[Mapping[str, ValueType]] = {
    "TemporalExternalPayloadCount": ValueType.INT,
    "TemporalExternalPayloadSizeBytes": ValueType.INT,
    "TemporalUsedWorkerDeploymentVersions": ValueType.KEYWORD_LIST,
    "TemporalWorkerDeployment": ValueType.KEYWORD,
    "TemporalWorkerDeploymentVersion": ValueType.KEYWORD,
    "TemporalWorkflowVersioningBehavior": ValueType.KEYWORD,
}
"""Attributes that only the server sets, and that are not columns."""

RESERVED_PREFIX: Final = "Temporal"

TYPE_NAMES: Final[Mapping[ValueType, str]] = {
    ValueType.TEXT: "Text",
    ValueType.KEYWORD: "Keyword",
    ValueType.INT: "Int",
    ValueType.DOUBLE: "Double",
    ValueType.BOOL: "Bool",
    ValueType.DATETIME: "Datetime",
    ValueType.KEYWORD_LIST: "KeywordList",
}
"""How types are spelt in messages and in the metadata of payloads."""


def is_system(name: str) -> bool:
    """Tells whether the server alone sets the attribute."""
    return name in SYSTEM or name in DERIVED


def is_reserved(name: str) -> bool:
    """Tells whether no namespace may have an attribute of its own by this name."""
    return is_system(name) or name in PREDEFINED or name.startswith(RESERVED_PREFIX)


def builtin_types() -> dict[str, ValueType]:
    """Returns the types of all attributes that exist in every namespace."""
    columns = {attribute.name: attribute.value_type for attribute in SYSTEM.values()}
    return {**columns, **DERIVED, **PREDEFINED}


@dataclass(slots=True, frozen=True)
class AttributeSet:
    """What a query may name.

    Attributes:
        builtin: Finds what is there in every namespace, by its name; None for what is not.
        custom: The types of the namespace's own.
        groupable: What Count can group by.
    """

    builtin: Callable[[str], Attribute | None]
    custom: Mapping[str, ValueType]
    groupable: frozenset[Attribute] = frozenset()

    def find(self, name: str) -> Attribute | None:
        """Returns the attribute of a name.

        Built-in ones may also be called with the prefix that they lack, or without the one they
        have.
        """
        if (builtin := self.builtin(name)) is not None:
            return builtin
        if name in self.custom:
            return Attribute(name, self.custom[name])
        shorter, longer = name.removeprefix(RESERVED_PREFIX), RESERVED_PREFIX + name
        aliased = self.builtin(shorter) or self.builtin(longer)
        return None if aliased is None else replace(aliased, alias=name)


def workflows(custom: Mapping[str, ValueType]) -> AttributeSet:
    """Returns what queries about the workflows of a namespace may name."""
    return AttributeSet(_of_workflows, custom, frozenset({STATUS, NAMESPACE_DIVISION}))


def _of_workflows(name: str) -> Attribute | None:
    if name == NAMESPACE_DIVISION.name:
        return NAMESPACE_DIVISION
    if (system := SYSTEM.get(name)) is not None:
        return system
    value_type = PREDEFINED.get(name) or DERIVED.get(name)
    return None if value_type is None else Attribute(name, value_type)
