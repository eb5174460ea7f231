"""What operators see: the metric catalogue and its collectors, logs, traces.

Rules that hold here: a metric is declared once, in `catalogue.py`, with Temporal's name wherever
one exists; hot paths hold bound series, never label values; what is switched off costs nothing.
"""
