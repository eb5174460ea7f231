"""The only door to clocks, identifiers, randomness, background tasks and the garbage collector.

Everything else takes these as arguments (see `ports.py`), so that a simulation can replace them.
"""
