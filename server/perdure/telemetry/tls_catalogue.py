"""Metrics of certificates. A part of the catalogue."""

from perdure.telemetry.labels import SERVICE
from perdure.telemetry.metric import Metric, Unit, counter, gauge

TLS_CERTIFICATE_EXPIRY = gauge(
    "tls_certificate_expiry_timestamp_seconds",
    ("ca", "role", "scope", "serial", *SERVICE, "subject"),
    "When a certificate expires: of every one in every file that is in use, by the port (scope) and"
    " by whether it is shown (server, client) or says who is let in (trust).",
    Unit.TIMESTAMP,
)
TLS_RELOAD_TOTAL = counter(
    "tls_reload_total",
    ("result", *SERVICE),
    "Times that certificates were read: changed, unchanged, or failed, which left the old in use.",
)
TLS_LAST_RELOAD_TIMESTAMP_SECONDS = gauge(
    "tls_last_reload_timestamp_seconds",
    SERVICE,
    "When the certificates that are in use were last found to be what their files say.",
    Unit.TIMESTAMP,
)
CERTIFICATES_EXPIRED = gauge(
    "certificates_expired", SERVICE, "Certificates in use that have expired, authorities included."
)
CERTIFICATES_EXPIRING = gauge(
    "certificates_expiring",
    SERVICE,
    "Certificates in use that expire within global.tls.expirationChecks.warningWindow.",
)

METRICS: tuple[Metric, ...] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, Metric)
)
"""Every metric above, in order."""
