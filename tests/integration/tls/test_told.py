"""What certificates tell metrics and the log, and the metrics port's own TLS."""

import asyncio
import socket
import ssl
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from authority import Authority, Files, replace
from integration.tls.ports import World, section, serving
from perdure.app.node import start_node
from perdure.app.tls_metrics import TlsMetrics
from perdure.config.settings import Values
from perdure.config.static import ServerConfig
from perdure.config.tls import ExpirationChecks
from perdure.rpc.tls.material import CertificateFacts, Material
from perdure.runtime.deterministic import ManualClock
from perdure.telemetry import tls_catalogue as catalogue
from perdure.telemetry.collectors import Metrics, sanitise
from perdure.telemetry.series import GaugeSeries
from waiting import until_asked

DAY_SECONDS = 86_400


def expiries(world: World) -> dict[tuple[str, str, str, str], float]:
    """Returns when certificates expire, by role, serial, whether an authority, and subject."""
    family = world.metrics.gauge(catalogue.TLS_CERTIFICATE_EXPIRY)
    found = {}
    for values, series in family.series():
        labels = dict(zip(catalogue.TLS_CERTIFICATE_EXPIRY.labels, values, strict=True))
        assert labels["scope"] == "frontend"
        key = (labels["role"], labels["serial"], labels["ca"], labels["subject"])
        found[key] = series.current()
    return found


async def test_every_certificate_of_every_file_says_when_it_expires(tmp_path: Path) -> None:
    root, other = Authority("root"), Authority("other authority")
    below = root.intermediate("below")
    leaf = below.issue()
    replace(tmp_path / "more.pem", other.pem)
    server = {"clientCaFiles": [str(tmp_path / "trust.pem"), str(tmp_path / "more.pem")]}
    async with serving(tmp_path, authority=root, leaf=leaf, server=server) as world:
        told = expiries(world)
        expected = {
            ("server", leaf.certificate, "false"),
            ("server", below.certificate, "true"),
            ("trust", root.certificate, "true"),
            ("trust", other.certificate, "true"),
        }
        assert told == {
            (
                role,
                f"{certificate.serial_number:x}",
                ca,
                sanitise(certificate.subject.rfc4514_string()),
            ): certificate.not_valid_after_utc.timestamp()
            for role, certificate, ca in expected
        }


async def test_a_certificate_that_is_gone_is_told_no_more(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        before = expiries(world)
        leaves = [world.authority.issue() for _ in range(3)]
        for leaf in leaves:
            leaf.write(tmp_path)
            await world.reload()
        after = expiries(world)
        assert len(after) == len(before)
        assert leaves[-1].serial in {serial for _, serial, _, _ in after}
        assert world.value(catalogue.TLS_RELOAD_TOTAL, result="changed") == 4
        assert world.value(catalogue.TLS_LAST_RELOAD_TIMESTAMP_SECONDS) > 0


class Told:
    """Metrics of certificates that expire in so many seconds."""

    def __init__(self, *seconds: float) -> None:
        clock = ManualClock()
        self.metrics = Metrics().scoped(service_name="frontend")
        self.observer = TlsMetrics(self.metrics, clock, ExpirationChecks())
        now = clock.now() // 1_000_000_000
        certificates = tuple(
            CertificateFacts(
                scope="frontend",
                role="server",
                subject=f"CN={number}",
                serial=f"{number}",
                ca=False,
                expires=round(now + left),
                source=f"{number}.pem",
            )
            for number, left in enumerate(seconds)
        )
        self.observer.reloaded(Material(certificates=certificates), changed=True)
        self.observer.sample()

    def gauge(self, metric: object) -> float:
        series: GaugeSeries = self.metrics.gauge(metric).bind()  # type: ignore[arg-type]
        return series.current()


def test_what_expires_is_counted_as_temporal_does() -> None:
    told = Told(-1, 0, 60, 6 * DAY_SECONDS, 8 * DAY_SECONDS)
    assert told.gauge(catalogue.CERTIFICATES_EXPIRED) == 2
    assert told.gauge(catalogue.CERTIFICATES_EXPIRING) == 2


def test_what_expires_is_said_by_how_soon() -> None:
    told = Told(-60, 3600, 6 * DAY_SECONDS, 8 * DAY_SECONDS)
    with capture_logs() as logs:
        told.observer.say_expiring()
    assert [(entry["log_level"], entry["event"], entry["file"]) for entry in logs] == [
        ("error", "certificate has expired", "0.pem"),
        ("error", "certificate will expire", "1.pem"),
        ("warning", "certificate will expire", "2.pem"),
    ]


def trusting(authority: Authority, client: Files | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    return context


def fetch(url: str, context: ssl.SSLContext | None = None) -> str:
    """Scrapes a port as Prometheus does."""
    with urllib.request.urlopen(url, context=context, timeout=20) as answer:  # noqa: S310 its own
        return str(answer.read().decode())


def shown_at(url: str, context: ssl.SSLContext) -> str:
    """Returns the serial number of the certificate that a port shows."""
    place = urlsplit(url)
    with (
        socket.create_connection((place.hostname, place.port or 0), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=place.hostname) as secured,
    ):
        shown = secured.getpeercert()
    assert shown is not None
    return str(shown["serialNumber"]).lower().lstrip("0")


async def test_the_metrics_port_has_tls_that_is_read_again(tmp_path: Path) -> None:
    authority = Authority("root")
    first, second = authority.issue(), authority.issue()
    first.write(tmp_path)
    replace(tmp_path / "trust.pem", authority.pem)
    client = authority.issue().write(tmp_path / "client")
    good = trusting(authority, client)
    config = ServerConfig.model_validate(
        {"listeners": {"grpc": {"port": 0}}, "metrics": {"tls": section(tmp_path)}}
    )
    async with AsyncExitStack() as parts:
        node = await start_node(config, Values(), parts)
        url = node.places["Metrics"]
        assert url.startswith("https://127.0.0.1:")
        told = await asyncio.to_thread(fetch, url, good)
        assert f'scope="metrics",serial="{first.serial}"' in told
        assert await asyncio.to_thread(shown_at, url, good) == first.serial
        for address, context in (
            (url, trusting(authority, None)),
            (url, trusting(authority, Authority("root").issue().write(tmp_path / "other"))),
            (url, trusting(Authority("root"), client)),
            (url.replace("https", "http"), None),
        ):
            with pytest.raises(OSError, match=r"."):
                await asyncio.to_thread(fetch, address, context)
        second.write(tmp_path)

        async def shows_the_second() -> bool:
            return await asyncio.to_thread(shown_at, url, good) == second.serial

        await until_asked(shows_the_second)
        told = await asyncio.to_thread(fetch, url, good)
        assert f'scope="metrics",serial="{second.serial}"' in told
        assert first.serial not in told
