"""Durations as configuration files write them: `10s`, `1h30m`."""

from typing import Annotated

from pydantic import AfterValidator

from perdure.config import convert


def _is_duration(text: str) -> str:
    try:
        convert.nanoseconds(text)
    except ValueError as error:
        raise ValueError(f'"{text}": a duration {error}') from None
    return text


Duration = Annotated[str, AfterValidator(_is_duration)]
