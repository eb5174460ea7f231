"""Where a workflow lives: the hash from workflow id to slot.

The number of slots is code, not configuration: shards are ranges of slots and may be split and
merged online, but a workflow's slot never changes.
"""

from hashlib import blake2b

SLOT_COUNT = 16_384


def slot_of(namespace_id: str, workflow_id: str) -> int:
    """Returns the slot, 0 to SLOT_COUNT - 1, of all runs of a workflow id."""
    digest = blake2b(f"{namespace_id}\0{workflow_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % SLOT_COUNT
