"""URLs as the real server reads them: what is wrong with one is said in Go's words."""

import re
from typing import Final, NamedTuple

from perdure.core.errors import InvalidArgumentError

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(.*)", re.DOTALL)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
# Go reads these escapes in a host, and no others: of bytes beyond ASCII, and a zone's %25.
_BAD_HOST_ESCAPE: Final = re.compile(r"%(?!25|[89A-Fa-f][0-9A-Fa-f]).{0,2}", re.DOTALL)
_BAD_HOST_CHARACTER: Final = re.compile(r"[^A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>\"%\x80-\U0010ffff]")


class Url(NamedTuple):
    """The parts of a URL that say where it leads; `host` has its port."""

    scheme: str
    host: str


def parse_url(text: str) -> Url:
    """Returns the parts of a URL, which may be relative.

    Raises:
        InvalidArgumentError: It is none.
    """
    if _CONTROL.search(text):
        raise _error(text, "net/url: invalid control character in URL")
    without_fragment = text.partition("#")[0]
    if without_fragment.startswith(":"):
        raise _error(text, "missing protocol scheme")
    found = _SCHEME.match(without_fragment)
    scheme, rest = (found[1].lower(), found[2]) if found else ("", without_fragment)
    path = rest.partition("?")[0]
    host = ""
    if path.startswith("//"):
        authority, _, path = path[2:].partition("/")
        host = authority.rpartition("@")[2]
        _check_host(text, host)
    if bad := _BAD_ESCAPE.search(path):
        raise _error(text, f"invalid URL escape {_quoted(bad[0])}")
    return Url(scheme, host)


def _check_host(text: str, host: str) -> None:
    if bad := _BAD_HOST_ESCAPE.search(host):
        raise _error(text, f"invalid URL escape {_quoted(bad[0])}")
    if host.startswith("["):
        address, closed, port = host.rpartition("]")
        if not closed:
            raise _error(text, "missing ']' in host")
    else:
        address, _, port = host.rpartition(":")
        port = host[len(address) :] if address else ""
    if port and not re.fullmatch(r":[0-9]*", port):
        raise _error(text, f"invalid port {_quoted(port)} after host")
    if bad := _BAD_HOST_CHARACTER.search(host):
        raise _error(text, f"invalid character {_quoted(bad[0])} in host name")


def _error(text: str, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"invalid callback url: parse {_quoted(text)}: {problem}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", escaped) + '"'
