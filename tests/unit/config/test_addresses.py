"""Hosts and ports as text."""

import pytest

from perdure.config import addresses


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("db1:7234", "db1", 7234),
        ("db1", "db1", None),
        ("10.0.0.1:1", "10.0.0.1", 1),
        ("[::1]:7234", "::1", 7234),
        ("[::1]", "::1", None),
        ("2001:db8::1", "2001:db8::1", None),
    ],
)
def test_what_an_address_says(text: str, host: str, port: int | None) -> None:
    assert addresses.split(text) == (host, port)
    if port is not None:
        assert addresses.join(host, port) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db1:", 'has the port ""'),
        ("db1:grpc", 'has the port "grpc"'),
        ("db1:0", "not a number from 1 to 65535"),
        ("db1:65536", "not a number from 1 to 65535"),
        (":7234", "has no host"),
        ("[::1", "is not of the form"),
        ("[::1]7234", "is not of the form"),
        ("[]:7234", "is not of the form"),
    ],
)
def test_what_is_no_address(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^(has|is)") as caught:
        addresses.split(text)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("host", "wildcard"),
    [("0.0.0.0", True), ("::", True), ("0:0::0", True), ("::1", False), ("db1", False)],  # noqa: S104
)
def test_wildcards(host: str, *, wildcard: bool) -> None:
    assert addresses.is_wildcard(host) is wildcard
