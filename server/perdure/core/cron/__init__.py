"""Cron: what its two dialects share. Texts, fields and durations, and the calendars they come to.

Workflows and schedules read cron strings by rules of their own, in `core/workflow/cron.py` and
`core/schedule/cron.py`, as they do on the real server. Nothing here knows of either.
"""
