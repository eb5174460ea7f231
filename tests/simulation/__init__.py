"""The simulation: one node on a virtual clock, with seeded faults and checked invariants.

`harness.simulate(seed)` is the door; `docs/simulation.md` explains it. Rules that hold here:
nothing reads a real clock, uses a thread, does I/O or draws randomness that does not come from the
seed, so that one seed reproduces one run.
"""
