"""The W3C trace context of what is going on, for calls to other nodes.

Whoever opens a span sets it; it is part of the task's own context, so that requests do not mix.
"""

from contextvars import ContextVar
from typing import Final

TRACEPARENT_HEADER: Final = "traceparent"

current_traceparent: ContextVar[str] = ContextVar("current_traceparent", default="")
"""What a call to another node carries as `traceparent`; empty where nothing is traced."""
