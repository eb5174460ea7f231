"""The closed workflows that `bench --visibility` asks about: all made from their number."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from temporalio.api.common.v1.message_pb2 import SearchAttributes
from temporalio.api.enums.v1 import workflow_pb2 as enums

from perdure.core.commit import SearchValue, VisibilityRow
from perdure.core.visibility.query import ValueType

NAMESPACE_ID: Final = "7a3c1a58-53e4-4a3f-8f70-3a2c6b1a9f00"
FIRST_START: Final = 1_700_000_000_000_000_000
INTERVAL: Final = 1_000_000_000
"""Nanoseconds from the start of one workflow to that of the next."""

LONGEST: Final = 60
"""Intervals that a workflow lasts at most."""

ATTRIBUTES: Final = {
    "Color": ValueType.KEYWORD,
    "Tags": ValueType.KEYWORD_LIST,
    "Note": ValueType.TEXT,
    "Amount": ValueType.INT,
}
_WORDS: Final = ("one", "few", "some", "most")
_SHARES: Final = (1e-6, 1e-3, 0.1)
_STATUSES: Final = (
    enums.WORKFLOW_EXECUTION_STATUS_TERMINATED,
    enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
    enums.WORKFLOW_EXECUTION_STATUS_FAILED,
    enums.WORKFLOW_EXECUTION_STATUS_COMPLETED,
)
_STATUS_NAMES: Final = ("Terminated", "Canceled", "Failed", "Completed")
_PRIMES: Final = (7_919, 104_729, 1_299_709, 15_485_863, 179_424_673, 32_452_843)


@dataclass(frozen=True, slots=True)
class Spread:
    """How what queries look for is spread over a number of runs."""

    rows: int

    def place(self, number: int, dimension: int) -> int:
        """Returns a run's place in an order that has nothing to do with its number."""
        return (number * _PRIMES[dimension] + self.rows // 2) % self.rows

    def rank(self, place: int) -> int:
        """Returns 0 for a millionth of the places, 1 for a thousandth, 2 for a tenth, else 3."""
        edge = 0
        for rank, share in enumerate(_SHARES):
            edge += self.share_of_rows(share)
            if place < edge:
                return rank
        return len(_SHARES)

    def word(self, share: float) -> str:
        """Returns the word that about a share of the runs have."""
        return _WORDS[self._rank_of(share)]

    def status(self, share: float) -> str:
        """Returns the status that about a share of the runs have."""
        return _STATUS_NAMES[self._rank_of(share)]

    def share_of_rows(self, share: float) -> int:
        """Returns how many runs a share is, one at least."""
        return max(1, round(self.rows * share))

    def share_of_time(self, share: float) -> int:
        """Returns when a share of the runs had started, in nanoseconds since 1970."""
        return FIRST_START + round(self.rows * share) * INTERVAL

    def workflow_id(self, number: int) -> str:
        """Returns a workflow's id; all are of one length."""
        return f"order-{number:07d}"

    def _rank_of(self, share: float) -> int:
        return next((rank for rank, each in enumerate(_SHARES) if share <= each * 2), len(_SHARES))


def runs(spread: Spread, first: int, last: int) -> Iterator[VisibilityRow]:
    """Yields the closed runs from a number to before another."""
    for number in range(first, last):
        yield _run(spread, number)


def _run(spread: Spread, number: int) -> VisibilityRow:
    places = [spread.place(number, dimension) for dimension in range(len(_PRIMES))]
    ranks = [spread.rank(place) for place in places]
    words = [_WORDS[rank] for rank in ranks]
    start = FIRST_START + number * INTERVAL
    run_id = f"{number:08x}-0000-7000-8000-{places[0]:012x}"
    workflow_id = spread.workflow_id(number)
    values: dict[str, SearchValue] = {
        "Color": words[2],
        "Tags": [words[3], f"tag-{places[3] % 100}"],
        "Note": frozenset({words[4], "note"}),
        "Amount": places[5],
    }
    return VisibilityRow(
        namespace_id=NAMESPACE_ID,
        run_id=run_id,
        workflow_id=workflow_id,
        workflow_type=words[0],
        task_queue=words[0],
        status=_STATUSES[ranks[1]],
        start_time=start,
        execution_time=start,
        close_time=start + (1 + places[1] % LONGEST) * INTERVAL,
        history_length=places[5],
        history_size_bytes=2_000 + places[0] % 4_000,
        state_transition_count=7,
        root_workflow_id=workflow_id,
        root_run_id=run_id,
        search_attributes=_attributes(values),
        search_values=values,
    )


def _attributes(values: dict[str, SearchValue]) -> bytes:
    """What a client would have set, for its size."""
    attributes = SearchAttributes()
    for name, value in values.items():
        payload = attributes.indexed_fields[name]
        payload.metadata["encoding"] = b"json/plain"
        payload.data = repr(value).encode()
    return attributes.SerializeToString()
