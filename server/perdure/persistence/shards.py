"""How a new store's slots are divided among shards."""

from itertools import pairwise

from perdure.core.slots import SLOT_COUNT


def even_ranges(count: int) -> list[tuple[int, int]]:
    """Returns `count` contiguous ranges of slots, first and last, that are as alike as can be.

    `count` is 1 to SLOT_COUNT.
    """
    assert 0 < count <= SLOT_COUNT, f"{SLOT_COUNT} slots cannot be divided into {count} shards"
    bounds = [number * SLOT_COUNT // count for number in range(count + 1)]
    return [(first, end - 1) for first, end in pairwise(bounds)]
