"""Where a process cannot listen it says so before it takes part in anything."""

import socket

import pytest

from perdure.app.listening import check_listener
from perdure.persistence.ports import StartupError


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104
def test_a_free_address_is_fine_and_stays_free(host: str) -> None:
    check_listener(host, 0)
    with socket.create_server(("127.0.0.1", 0)) as freed:
        port = freed.getsockname()[1]
    check_listener(host, port)
    check_listener(host, port)


def test_a_port_that_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for shared in (False, True):
            with pytest.raises(StartupError, match=f"127.0.0.1:{port}: the port is in use; stop"):
                check_listener("127.0.0.1", port, shared=shared)


def test_a_port_that_is_shared() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        check_listener("127.0.0.1", port, shared=True)
        with pytest.raises(StartupError, match="the port is in use"):
            check_listener("127.0.0.1", port)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(StartupError, match=r"192\.0\.2\.1:7233: the address is not this machine's"):
        check_listener("192.0.2.1", 7233)


def test_a_host_that_nobody_knows() -> None:
    with pytest.raises(StartupError, match=r"nobody\.invalid:7233: the host is unknown"):
        check_listener("nobody.invalid", 7233)
