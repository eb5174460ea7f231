"""Counts what becomes of spans."""


class Spans:
    """A `SpanObserver` that counts."""

    def __init__(self) -> None:
        self.exported = self.refused = self.dropped = 0

    def spans_exported(self, count: int) -> None:
        self.exported += count

    def spans_refused(self, count: int) -> None:
        self.refused += count

    def spans_dropped(self, count: int) -> None:
        self.dropped += count
