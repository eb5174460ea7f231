"""Hosts and ports as text: `db1:7234`, `10.0.0.1:7234`, `[2001:db8::1]:7234`."""

from ipaddress import ip_address

LAST_PORT = 65535


def join(host: str, port: int) -> str:
    """Returns `host:port`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split(address: str) -> tuple[str, int | None]:
    """Returns the host, without brackets, and the port; None where there is none.

    Raises:
        ValueError: It is neither; the message is half a sentence.
    """
    host, port = _cut(address)
    if port is None:
        return host, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= LAST_PORT):
        raise ValueError(f'has the port "{port}", which is not a number from 1 to {LAST_PORT}')
    return host, int(port)


def is_wildcard(host: str) -> bool:
    """Tells whether a host means "every address of this machine", which nobody can call."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _cut(address: str) -> tuple[str, str | None]:
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not (host and bracket) or (rest and not rest.startswith(":")):
            raise ValueError("is not of the form [IPv6 address]:port")
        return host, rest[1:] if rest else None
    if address.count(":") > 1:
        return address, None
    host, colon, port = address.partition(":")
    if not host:
        raise ValueError("has no host")
    return host, port if colon else None
