"""The audit log: one line for every administrative call, allowed or not.

Lines have the component `audit`, are written whatever the level of the log is, and never left out,
however many alike there are.
"""

from types import TracebackType
from typing import Self

from perdure.core.errors import ServiceError
from perdure.telemetry.logging import Logger, get_audit_logger

ANONYMOUS = "anonymous"
"""The principal of a call whose caller nobody knows."""


class Audit:
    """Writes the lines."""

    def __init__(self, log: Logger | None = None) -> None:
        self._log = log or get_audit_logger()

    def call(self, name: str, *, namespace: str, principal: str, peer: str) -> "AuditedCall":
        """Returns what notes the end of a call.

        Args:
            name: The RPC's.
            namespace: The name or id in the request; empty when it names none.
            principal: Who calls.
            peer: From where.
        """
        line = self._log.bind(principal=principal, method=name, namespace=namespace, peer=peer)
        return AuditedCall(line)


class AuditedCall:
    """One administrative call; while the context is open it is being answered."""

    __slots__ = ("_log",)

    def __init__(self, log: Logger) -> None:
        self._log = log

    def refused(self) -> None:
        """Notes that its caller may not make it."""
        self._write("refused")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._write("done")
        elif isinstance(error, ServiceError):
            self._write("failed", code=error.code.name)
        else:
            self._write("failed", code=type(error).__name__)

    def _write(self, outcome: str, **more: str) -> None:
        self._log.info("administrative call", outcome=outcome, **more)
