"""Where callbacks may go, as operators say it."""

import re
from dataclasses import dataclass, field


@dataclass(slots=True, frozen=True)
class CallbackAddress:
    """Hosts, with their ports, that callbacks may go to.

    Attributes:
        pattern: The host; `*` stands for any characters.
        insecure: Whether they may go there without TLS.
    """

    pattern: str
    insecure: bool = False
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        expression = ".*".join(re.escape(part) for part in self.pattern.split("*"))
        object.__setattr__(self, "_compiled", re.compile(expression))

    def matches(self, host: str) -> bool:
        """Tells whether a host (with its port, if it has one) is among them."""
        return self._compiled.fullmatch(host) is not None


def callback_addresses(value: object) -> tuple[CallbackAddress, ...]:
    """Converts a setting: a list of `{"Pattern": HOST, "AllowInsecure": BOOLEAN}`.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, list):
        raise ValueError('wants a list of {"Pattern": "HOST", "AllowInsecure": false}')
    return tuple(_address(entry) for entry in value)


def _address(entry: object) -> CallbackAddress:
    names = {"pattern": "", "allowinsecure": False}
    given = (
        names | {str(name).lower(): each for name, each in entry.items()}
        if isinstance(entry, dict)
        else {}
    )
    pattern, insecure = given.get("pattern"), given.get("allowinsecure")
    if set(given) != set(names) or not isinstance(pattern, str) or not isinstance(insecure, bool):
        raise ValueError('wants a list of {"Pattern": "HOST", "AllowInsecure": false}')
    if not pattern:
        raise ValueError("wants a Pattern in each address")
    return CallbackAddress(pattern, insecure)
