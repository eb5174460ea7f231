"""Which starts of a buffer go ahead, by their policies."""

import pytest
from temporalio.api.enums.v1.schedule_pb2 import ScheduleOverlapPolicy

from perdure.core.schedule.overlaps import BufferedStart, decide

POLICIES = {
    "skip": "SKIP",
    "one": "BUFFER_ONE",
    "all": "BUFFER_ALL",
    "cancel": "CANCEL_OTHER",
    "terminate": "TERMINATE_OTHER",
    "beside": "ALLOW_ALL",
}


@pytest.mark.parametrize(
    ("policies", "running", "alone", "beside", "waiting", "skipped", "ends"),
    [
        ("skip skip", False, 1, "", "", 1, ""),
        ("skip skip", True, 0, "", "", 2, ""),
        ("one one one", False, 1, "", "2", 1, ""),
        ("one one", True, 0, "", "1", 1, ""),
        ("all all all", False, 1, "", "23", 0, ""),
        ("all all", True, 0, "", "12", 0, ""),
        ("beside skip beside", True, 0, "13", "", 1, ""),
        ("beside skip beside", False, 2, "13", "", 0, ""),
        ("cancel cancel", False, 2, "", "", 0, ""),
        ("cancel cancel", True, 0, "", "12", 0, "cancel"),
        ("terminate", True, 0, "", "1", 0, "terminate"),
        ("skip terminate", False, 2, "", "", 0, ""),
        ("all one", True, 0, "", "1", 1, ""),
        ("cancel terminate", True, 0, "", "12", 0, "cancel terminate"),
    ],
)
def test_decisions(  # noqa: PLR0917 - a table
    policies: str, running: bool, alone: int, beside: str, waiting: str, skipped: int, ends: str
) -> None:
    buffer = [
        BufferedStart(
            nominal_time=number,
            overlap_policy=ScheduleOverlapPolicy.Value(f"SCHEDULE_OVERLAP_POLICY_{POLICIES[name]}"),
        )
        for number, name in enumerate(policies.split(), 1)
    ]
    decision = decide(buffer, is_running=running, resolve=lambda policy: policy)
    assert (decision.alone.nominal_time if decision.alone is not None else 0) == alone
    assert "".join(str(each.nominal_time) for each in decision.beside) == beside
    assert "".join(str(each.nominal_time) for each in decision.waiting) == waiting
    assert decision.skipped == skipped
    assert decision.cancel == ("cancel" in ends)
    assert decision.terminate == ("terminate" in ends)
