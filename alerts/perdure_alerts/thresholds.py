"""From which values on an operator is told. Dashboards draw the same ones."""

from typing import NamedTuple


class Threshold(NamedTuple):
    """From where on something is a warning, and from where on critical."""

    warning: float
    critical: float


COMMIT_LATENCY_SECONDS = Threshold(0.3, 1.0)
"""The slowest hundredth of commits. A commit is a part of every answer that changes something."""
BACKLOG_AGE_SECONDS = Threshold(60.0, 300.0)
"""For how long a queue's oldest task may wait: longer, and there are too few workers."""
EVENT_LOOP_LAG_SECONDS = Threshold(0.2, 1.0)
"""The slowest hundredth: everything that a process does is late by as much."""
FRONTEND_ERROR_RATIO = Threshold(0.001, 0.01)
"""Requests that failed through no fault of their sender."""
THROTTLED_RATIO = Threshold(0.01, 0.1)
"""Requests of a namespace that a limit refuses. SDKs repeat them: it becomes slow, then fails."""
SCHEDULE_DELAY_SECONDS = Threshold(5.0, 60.0)
"""From when an action of a schedule is due to its start: no alert, since a limit may be meant."""
MISSED_ACTIONS = Threshold(0.0001, 1.0)
"""Times of schedules per second that nothing makes up for: one is a warning already."""
STORE_ERROR_RATIO = Threshold(0.01, 0.05)
"""Operations of the store that fail."""
STORE_LATENCY_SECONDS = Threshold(0.3, 1.0)
"""The slowest hundredth of the store's operations."""
VISIBILITY_ERROR_RATIO = Threshold(0.01, 0.05)
"""Lists and counts of workflows that fail."""
POOL_RATIO = Threshold(0.9, 0.99)
"""Connections to the database in use, of those that may be open: beyond it reads wait."""
RPS_RATIO = 0.8
"""Requests of a process, of those that its limit lets through."""
LEASE_FAILURES = 5.0
"""Of one node in five minutes: it renews about once a second, so that single ones mean nothing."""
RESTARTS = 2.0
"""Of one process in half an hour."""
CERTIFICATE_SECONDS = Threshold(21 * 86_400.0, 7 * 86_400.0)
"""What is left of a certificate that has been in use for a day or longer."""
SHORT_CERTIFICATE_SECONDS = 2 * 3_600.0
"""What is left of any certificate: one that lives for a day is renewed when a third is left."""
