"""The children of a run that another one takes the place of.

Rules that hold here: a child that was initiated before the point is the new run's, whatever its
parent close policy; it is not told of the change, and what it says to its parent finds the open
run. One that was initiated after the point goes on alone. The message that starts a child and may
be on its way keeps its name: whichever run has sent it, the child is started once.
"""

from perdure.core.child import transitions as child
from perdure.core.reset.rebuild import Rebuilt
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored


def hand_over(closing: RunStep, rebuilt: Rebuilt) -> None:
    """Has a run that is about to close part from its children.

    Args:
        closing: The open run: the one that is reset, or a later one.
        rebuilt: What the new run begins with. It gets the names of the messages that are on their
            way.
    """
    run = closing.run
    for event_id, info in list(run.children.items()):
        kept = rebuilt.children.get(event_id)
        if kept is not None and _is_same(kept, info) and not kept.started_run_id:
            kept.message_id = info.message_id
            kept.earlier_run_ids.extend([*info.earlier_run_ids, run.key.run_id])
        child.hand_over(closing, info)


def _is_same(kept: stored.ChildInfo, info: stored.ChildInfo) -> bool:
    return (kept.namespace_id, kept.workflow_id) == (info.namespace_id, info.workflow_id)
