"""What an operator may set about calls between nodes."""

from dataclasses import dataclass
from typing import Final

from perdure.rpc.transport import TransportSettings

_MEBIBYTE: Final = 1 << 20


@dataclass(slots=True, frozen=True, kw_only=True)
class InternodeSettings:
    """Bounds of time and memory. Durations are seconds.

    Attributes:
        call: How long a call may take that does not say so itself.
        wait_margin: How much longer than it says a call may take that waits for something: the far
            end shall be the one that ends it.
        connect: How long a connection may take to be made.
        routing: How long an owner is looked for, where the request itself does not say.
        shortest_pause: First pause before an owner is looked for again.
        longest_pause: Longest such pause.
        keepalive: After how long without traffic a connection is tried.
        keepalive_timeout: How long that may take before the connection is given up.
        hints_per_node: Hints that wait to be sent to one node. About 600 bytes each.
        hints_per_batch: Hints in one message.
        hint_attempts: How often a hint is sent, before its row is left to be read.
        shards_moving: Shards that may be without an owner at the same time because a node gives
            them away.
        unpolled: How long a queue of another node counts as unpolled after that was said of it.
        unpolled_queues: Of how many queues this is remembered.
    """

    call: float = 10.0
    wait_margin: float = 2.0
    connect: float = 2.0
    routing: float = 10.0
    shortest_pause: float = 0.05
    longest_pause: float = 1.0
    keepalive: float = 3.0
    keepalive_timeout: float = 2.0
    hints_per_node: int = 10_000
    hints_per_batch: int = 500
    hint_attempts: int = 5
    shards_moving: int = 8
    unpolled: float = 10.0
    unpolled_queues: int = 10_000


INTERNODE_TRANSPORT: Final = TransportSettings(
    # A public request and its envelope, or a query with the history that it needs.
    max_request_bytes=128 * _MEBIBYTE,
    max_received_bytes=128 * _MEBIBYTE,
    # Less than what peers ping with, whatever they are set to.
    min_ping_seconds=0.5,
)
"""How the listener for other nodes is opened."""
