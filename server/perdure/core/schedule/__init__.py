"""Schedules: when they are due, what they start, and what becomes of it."""
