"""What certificates tell metrics and the log."""

import asyncio
from typing import Final

from perdure.config import convert
from perdure.config.tls import ExpirationChecks
from perdure.rpc.tls.files import BrokenFilesError
from perdure.rpc.tls.material import CertificateFacts, Material
from perdure.runtime.ports import Clock
from perdure.telemetry import tls_catalogue as catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.logging import get_logger

SAY_AGAIN_SECONDS: Final = 600.0
"""How often the log repeats that files are broken in the same way."""
_SECOND: Final = 1_000_000_000


class TlsMetrics:
    """A `ReloadObserver`."""

    def __init__(self, metrics: Metrics, clock: Clock, checks: ExpirationChecks) -> None:
        """Knows of no certificate yet.

        Args:
            metrics: Those of the process.
            clock: Says what has expired.
            checks: What counts as expiring.
        """
        self._clock = clock
        self._warning_seconds = convert.seconds(checks.warning_window)
        self._error_seconds = convert.seconds(checks.error_window)
        self._expiry = metrics.gauge(catalogue.TLS_CERTIFICATE_EXPIRY)
        readings = metrics.counter(catalogue.TLS_RELOAD_TOTAL)
        self._changed = readings.bind(result="changed")
        self._unchanged = readings.bind(result="unchanged")
        self._failed = readings.bind(result="failed")
        self._last = metrics.gauge(catalogue.TLS_LAST_RELOAD_TIMESTAMP_SECONDS).bind()
        self._expired = metrics.gauge(catalogue.CERTIFICATES_EXPIRED).bind()
        self._expiring = metrics.gauge(catalogue.CERTIFICATES_EXPIRING).bind()
        self._certificates: tuple[CertificateFacts, ...] = ()
        self._log = get_logger("tls")
        self._problem = ""
        self._said_at = 0.0

    def reloaded(self, material: Material, *, changed: bool) -> None:
        """Counts a reading of sound files, and tells when each certificate expires."""
        (self._changed if changed else self._unchanged).inc()
        self._last.set(self._now())
        if self._problem:
            self._problem = ""
            self._log.info("certificates can be read again")
        if changed:
            if self._certificates:
                serials = sorted({each.serial for each in material.certificates if not each.ca})
                self._log.info("certificates changed", serials=serials)
            self._replace(material.certificates)

    def refused(self, error: BrokenFilesError) -> None:
        """Counts a reading of broken files, and says which and why: once, and now and then."""
        self._failed.inc()
        problem, now = str(error), self._clock.monotonic()
        if problem == self._problem and now < self._said_at + SAY_AGAIN_SECONDS:
            return
        self._problem, self._said_at = problem, now
        self._log.error(
            "the certificates in use stay: a file is broken",
            file=error.problems[0].source,
            error=problem,
        )

    def sample(self) -> None:
        """Sets how many certificates have expired, and how many will before long."""
        now = self._now()
        left = [each.expires - now for each in self._certificates]
        self._expired.set(sum(seconds <= 0 for seconds in left))
        self._expiring.set(sum(0 < seconds <= self._warning_seconds for seconds in left))

    def say_expiring(self) -> None:
        """Says in the log which certificates have expired or will before long."""
        now = self._now()
        for each in self._certificates:
            left = each.expires - now
            if left > max(self._warning_seconds, self._error_seconds):
                continue
            say = self._log.error if left <= self._error_seconds else self._log.warning
            say(
                "certificate has expired" if left <= 0 else "certificate will expire",
                file=each.source,
                subject=each.subject,
                serial=each.serial,
                hours=round(left / 3600),
            )

    def _replace(self, certificates: tuple[CertificateFacts, ...]) -> None:
        for gone in set(self._certificates).difference(certificates):
            self._expiry.drop(**_labels(gone))
        for each in certificates:
            self._expiry.bind(**_labels(each)).set(each.expires)
        self._certificates = certificates

    def _now(self) -> int:
        return self._clock.now() // _SECOND


async def follow_expiry(metrics: TlsMetrics, checks: ExpirationChecks) -> None:
    """Has the log name certificates that will expire, every so often, for ever."""
    period = convert.seconds(checks.check_interval)
    while period:
        metrics.say_expiring()
        await asyncio.sleep(period)


def _labels(certificate: CertificateFacts) -> dict[str, str]:
    return {
        "ca": str(certificate.ca).lower(),
        "role": certificate.role,
        "scope": certificate.scope,
        "serial": certificate.serial,
        "subject": certificate.subject,
    }
