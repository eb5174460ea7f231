"""A schedule in memory: its definition and its state, each a row of the schedule's run.

Theory of operation. A schedule is a run of a kind of its own, under the workflow id
`temporal-sys-scheduler:<schedule id>`: so it has a slot, versions, a timer, messages and a listing
as every run has. It never has workflow tasks; its history is its start and its end. What an idle
schedule costs is its rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from temporalio.api.enums.v1 import schedule_pb2 as enums
from temporalio.api.schedule.v1 import message_pb2 as schedule

from perdure.core.commit import ItemKey, ItemKind
from perdure.core.protobuf import duration_ns, seconds
from perdure.proto import stored_pb2 as stored

WORKFLOW_ID_PREFIX: Final = "temporal-sys-scheduler:"
WORKFLOW_TYPE: Final = "temporal-sys-scheduler-workflow"
TASK_QUEUE: Final = "temporal-sys-per-ns-tq"
DIVISION: Final = "TemporalScheduler"
"""The namespace division of schedules, which keeps them out of lists of workflows."""
INFO_FIELD: Final = "ScheduleInfo"
"""The memo field in which listings find what they show of a schedule."""

DEFINITION: Final = ItemKey(ItemKind.SCHEDULE, "")
STATE: Final = ItemKey(ItemKind.SCHEDULE_STATE, "")

_MESSAGES_BYTES: Final = 10 * 1024
"""What the messages of a schedule's run take in memory beyond their own bytes (measured)."""
_COPIES: Final = 2
"""How often a definition is in memory: its run's listing repeats the most of it."""

DEFAULT_CATCHUP: Final = seconds(365 * 86_400)
LEAST_CATCHUP: Final = seconds(10)
DEFAULT_OVERLAP: Final = enums.SCHEDULE_OVERLAP_POLICY_SKIP


@dataclass(slots=True)
class ScheduleRows:
    """What a schedule's run has beside what every run has.

    Attributes:
        definition: What clients have said, its spec in canonical form.
        state: What has come of it.
        is_changed: Whether the definition must be written: it may be large, and changes rarely.
    """

    definition: schedule.Schedule
    state: stored.ScheduleState
    is_changed: bool = False

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return _MESSAGES_BYTES + _COPIES * (self.definition.ByteSize() + self.state.ByteSize())

    @property
    def catchup_window(self) -> int:
        """For how long a time that was missed is made up for, in nanoseconds."""
        policies = self.definition.policies
        if not policies.HasField("catchup_window"):
            return DEFAULT_CATCHUP
        return max(duration_ns(policies.catchup_window), LEAST_CATCHUP)

    def overlap_policy(
        self, wanted: enums.ScheduleOverlapPolicy.ValueType
    ) -> enums.ScheduleOverlapPolicy.ValueType:
        """Returns the policy of a start: its own, else the schedule's, else the default."""
        return wanted or self.definition.policies.overlap_policy or DEFAULT_OVERLAP

    @property
    def has_actions_left(self) -> bool:
        """Whether its spec may start something now."""
        state = self.definition.state
        return not state.paused and (not state.limited_actions or state.remaining_actions > 0)


def workflow_id(schedule_id: str) -> str:
    """Returns the workflow id of a schedule's run."""
    return WORKFLOW_ID_PREFIX + schedule_id


def load_rows(items: Mapping[ItemKey, bytes]) -> ScheduleRows | None:
    """Returns a run's schedule rows, None when it is an ordinary run."""
    if STATE not in items:
        return None
    return ScheduleRows(
        schedule.Schedule.FromString(items[DEFINITION]),
        stored.ScheduleState.FromString(items[STATE]),
    )
