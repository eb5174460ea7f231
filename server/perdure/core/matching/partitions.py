"""Which partition of its queue a task goes to.

A row is found again by the partition that its task's state names, never by asking here: the number
of partitions may have changed since.
"""

from typing import Final

_MULTIPLIER: Final = 0x9E3779B97F4A7C15
"""2⁶⁴ over the golden ratio."""

_MASK: Final = (1 << 64) - 1


def partition_of(task_id: int, partitions: int) -> int:
    """Returns the number of a new task's partition, in [0, partitions).

    Ids are numbers in a row that events use up as well, so alike workflows that run one after the
    other have tasks at equal distances: by the remainder alone they could all meet in one
    partition. Multiplying scatters them.
    """
    if partitions == 1:
        return 0
    return ((task_id * _MULTIPLIER & _MASK) >> 32) % partitions
