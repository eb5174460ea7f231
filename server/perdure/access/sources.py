"""Reads documents of keys: over HTTP, or from files. In threads, for a bounded time and size."""

import asyncio
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable
from http.client import HTTPException
from pathlib import Path
from typing import Final

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the document behind a URI. Raises SourceError."""

_SECONDS: Final = 5.0
"""How long a source may be silent, and how long it may take in all."""
_MOST_BYTES: Final = 1 << 20


class SourceError(Exception):
    """A document cannot be read, or is not what it should be; the message says why."""


async def fetch(uri: str) -> bytes:
    """Returns the document behind a URI.

    Raises:
        SourceError: It cannot be read in time, or is too large.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await asyncio.to_thread(_read, uri)
    except TimeoutError:
        raise SourceError(f"no answer within {_SECONDS:g} s") from None


def _read(uri: str) -> bytes:
    parts = urllib.parse.urlsplit(uri)
    try:
        if parts.scheme == "file":
            with Path(urllib.parse.unquote(parts.path)).open("rb") as file:
                return _bounded(file.read(_MOST_BYTES + 1))
        with urllib.request.urlopen(uri, timeout=_SECONDS) as response:  # noqa: S310 - the operator's
            return _bounded(response.read(_MOST_BYTES + 1))
    except (OSError, HTTPException, ValueError) as error:
        raise SourceError(str(error) or type(error).__name__) from error


def _bounded(document: bytes) -> bytes:
    if len(document) > _MOST_BYTES:
        raise SourceError(f"more than {_MOST_BYTES} bytes")
    return document
