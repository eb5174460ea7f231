"""What is a UUID, as ids of runs are."""

import re
from typing import Final

# The forms that the real server takes: plain, without dashes, in braces, as a URN.
_PLAIN: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID = re.compile(rf"{_PLAIN}|[0-9a-f]{{32}}|\{{{_PLAIN}\}}|urn:uuid:{_PLAIN}", re.IGNORECASE)


def is_uuid(text: str) -> bool:
    """Tells whether a text is a UUID."""
    return _UUID.fullmatch(text) is not None
