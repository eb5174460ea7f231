"""What reading costs in each store, so that plans can be compared.

The numbers were measured with `./dev bench --visibility` among a million runs, and are about right
on other machines too, because only what they are to each other counts.
"""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Costs:
    """About what reading takes, in microseconds; only what they are to each other counts.

    Attributes:
        run: A run of a path: its row lies somewhere.
        step: A run of a walk: rows lie in about its order.
        scanned: A run, when all are read for a count.
        held: Looking for one entry of a run.
        sorted: An entry of an index that is put into the listing's order.
        passed: An entry of an index that is only looked at.
    """

    run: float
    step: float
    scanned: float
    held: float
    sorted: float
    passed: float
