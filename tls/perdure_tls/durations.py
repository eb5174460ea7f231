"""Lifetimes as operators write them: `90d`, `24h`, `30m`, `45s`."""

import re
from datetime import timedelta
from typing import Any

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_WRITTEN = re.compile(r"(\d{1,6})([smhd])")


class Lifetime(click.ParamType[timedelta]):
    """An option's value like `90d`; no value is zero or less."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Reads a duration."""
        if isinstance(value, timedelta):
            return value
        matched = _WRITTEN.fullmatch(str(value).strip())
        if matched is None or not int(matched[1]):
            self.fail(f"{value!r} is no duration: write it like 90d, 24h or 30m", param, ctx)
        return timedelta(**{_UNITS[matched[2]]: int(matched[1])})


def said(duration: timedelta) -> str:
    """Returns a duration in its largest unit, rounded down: `12 d`, `7 h`, `40 min`."""
    seconds = int(duration.total_seconds())
    if seconds < 0:
        return f"-{said(-duration)}"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
