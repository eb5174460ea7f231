"""Which callbacks a start may ask for: addresses that operators allow, and URLs."""

from typing import Any

import pytest
from temporalio.api.common.v1 import Callback

from perdure.core.errors import InvalidArgumentError
from perdure.frontend.callback_addresses import CallbackAddress, callback_addresses
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.validation.callbacks import settle_callbacks
from perdure.frontend.validation.urls import Url, parse_url

SETTINGS = FrontendSettings(
    callback_addresses=(
        CallbackAddress("secure.example:*"),
        CallbackAddress("*.example", insecure=True),
    )
)


def settle(url: str, **header: str) -> Callback:
    callback = Callback(nexus=Callback.Nexus(url=url, header=header))
    settle_callbacks([callback], SETTINGS)
    return callback


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.example", "a.example"),
        ("http://me:secret@a.example:80/path?query#part", "a.example:80"),
        ("https://[::1]:8000/", "[::1]:8000"),
        ("https://a?b://c", "a"),
        ("https://a/%41?%zz#:", "a"),
        ("https://a:/", "a:"),
    ],
)
def test_a_host_is_found_with_its_port(url: str, host: str) -> None:
    assert parse_url(url) == Url(url.partition(":")[0], host)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://a/%4", 'invalid URL escape "%4"'),
        ("https://[::1]x", 'invalid port "x" after host'),
        ("https://a:1:b", 'invalid port ":b" after host'),
        ("https://a\\b/", r'invalid character "\\" in host name'),
        ("https://a\n", "net/url: invalid control character in URL"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse_url(url)
    assert caught.value.message.endswith(f": {problem}")


def test_addresses_are_those_that_operators_allow() -> None:
    settle("http://b.a.example/")
    settle("https://secure.example:443/")
    for url, problem in {
        "http://secure.example:80/": "does not allow insecure",
        "https://secure.example.org:443/": "does not match",
        "https://example/": "does not match",
        "https://a.example:80/": "does not match",
        "https://axexample/": "does not match",
    }.items():
        with pytest.raises(InvalidArgumentError, match=problem):
            settle(url)


def test_names_of_headers_are_in_lower_case() -> None:
    assert dict(settle("http://a.example/", Key="Value").nexus.header) == {"key": "Value"}


def test_the_setting_says_what_it_wants() -> None:
    given = [{"Pattern": "a:*", "AllowInsecure": True}, {"pattern": "b"}]
    assert callback_addresses(given) == (
        CallbackAddress("a:*", insecure=True),
        CallbackAddress("b"),
    )
    bad: list[Any] = ["a", [1], [{"Pattern": 1}], [{"Pattern": ""}], [{"Host": "a"}], [{}]]
    for value in bad:
        with pytest.raises(ValueError, match="wants a"):
            callback_addresses(value)
