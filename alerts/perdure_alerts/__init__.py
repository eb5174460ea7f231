"""Prometheus alert rules and runbooks of Perdure, generated from the metric catalogue."""
