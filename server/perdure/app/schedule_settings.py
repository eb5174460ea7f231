"""The keys by which operators reach the settings of schedules."""

from perdure.config.convert import number_at_least
from perdure.config.groups import Key, declare_group
from perdure.history.schedule_starts import ScheduleSettings

SCHEDULES = declare_group(
    ScheduleSettings(),
    {
        "starts_per_second": Key(
            "worker.schedulerNamespaceStartWorkflowRPS",
            number_at_least(0),
            "workflows/s",
            "Most workflows that schedules of one namespace start in one history process; 0 for no"
            " limit.",
            live=True,
        ),
    },
)
