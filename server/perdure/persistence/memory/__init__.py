"""A store without I/O: what the simulator and `--in-memory` run on, and the model for the others.

Rules that hold here: deterministic (ids and the clock are arguments), and as strict as a
database: whatever a SQL store refuses, this one refuses with the same result.
"""

from perdure.persistence.memory.faults import CommitFaults
from perdure.persistence.memory.store import MemoryStore

__all__ = ["CommitFaults", "MemoryStore"]
