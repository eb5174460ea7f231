"""The one exception of the benchmark: a sentence for the person who ran it."""


class BenchError(Exception):
    """A benchmark cannot go on; the message is a sentence that says why, and the fix if known."""
