"""The hottest functions of collapsed stacks."""

from bench.profiler import Hot, hottest

STACKS = """\
main (app.py:1);step (core.py:10) 3
main (app.py:2);step (core.py:12) 3
main (app.py:2);step (core.py:12);append (bytes.py:5) 2
main (app.py:9) 2
"""


def test_lines_of_a_function_count_together() -> None:
    assert hottest(STACKS, 2) == [
        Hot("step (core.py)", 0.6, 0.8),
        Hot("append (bytes.py)", 0.2, 0.2),
    ]


def test_recursion_counts_once() -> None:
    assert hottest("f (a.py:1);f (a.py:1) 4\n", 1) == [Hot("f (a.py)", 1.0, 1.0)]


def test_no_samples_no_functions() -> None:
    assert hottest("", 5) == []
