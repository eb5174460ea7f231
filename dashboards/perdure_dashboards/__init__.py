"""Grafana dashboards of Perdure, generated from the metric catalogue."""
