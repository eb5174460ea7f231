"""How a run is forgotten: state, pending items, history and its place in listings.

    open ── terminate ─► closed, deletion due ── time passes ─► gone
    closed ──────────────────────────────────── delete ───────► gone

An open run is closed first, in a commit of its own: those who wait for its end see it, its parent
and its children are told, and the deadline in its state has it deleted even if the process dies in
between. What outlives a run belongs to its workflow id: messages that are under way, and receipts
of those that it took in, which expire by themselves.
"""

from perdure.core.workflow.close import Termination, terminate
from perdure.core.workflow.state import Deadline, DeadlineKind
from perdure.core.workflow.step import RunStep

TERMINATION = Termination(reason="Delete workflow execution", identity="history-service")
"""How the real server ends an open run that is to be deleted."""


def request_deletion(change: RunStep) -> None:
    """Deletes a closed run; closes an open one, which is deleted right after."""
    run = change.run
    if not run.is_running:
        delete(change)
        return
    terminate(change, TERMINATION)
    change.state.deletion_due = change.now
    run.add_deadline(Deadline(change.now, DeadlineKind.DELETION))


def delete(change: RunStep) -> None:
    """Removes a closed run with all its rows."""
    assert not change.run.is_running, "an open run is closed before it is deleted"
    change.deleted = True
    change.touched = True
