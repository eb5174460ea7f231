"""Errors that nobody expected: logged once per kind, with the id that the client is given."""

from hashlib import blake2b
from typing import Final

from perdure.runtime.ports import Clock
from perdure.telemetry.logging import get_logger

_REPEAT_SECONDS: Final = 60.0
_MOST_KINDS: Final = 1_000


class FaultLog:
    """Gives every unexpected error an id, and logs each kind at most once a minute.

    A kind is an exception's type and where it was raised: the same defect has the same id on
    every call, so that a storm of failures is one line of log.
    """

    __slots__ = ("_clock", "_last_logged", "_log")

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._log = get_logger("rpc")
        self._last_logged: dict[str, float] = {}

    def record(self, operation: str, error: BaseException) -> str:
        """Returns the error's id, after logging it if its turn has come."""
        fault_id = _identify(error)
        if self._is_due(fault_id):
            self._log.error(
                "unexpected error, reported to the client by its id",
                operation=operation,
                fault_id=fault_id,
                error_type=type(error).__qualname__,
                exc_info=error,
            )
        return fault_id

    def _is_due(self, fault_id: str) -> bool:
        now = self._clock.monotonic()
        last = self._last_logged.get(fault_id)
        if last is not None and now - last < _REPEAT_SECONDS:
            return False
        if len(self._last_logged) >= _MOST_KINDS:
            self._last_logged.clear()
        self._last_logged[fault_id] = now
        return True


def _identify(error: BaseException) -> str:
    place = ""
    at = error.__traceback__
    while at is not None:
        place = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
        at = at.tb_next
    kind = f"{type(error).__qualname__} {place}"
    return blake2b(kind.encode(), digest_size=4).hexdigest()
