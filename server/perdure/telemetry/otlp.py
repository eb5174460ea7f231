"""Where traces go: puts the tracer together from the configuration and the OTEL_* variables.

Temporal's rules hold: exporters of the configuration go before those of the environment, and
OTEL_SERVICE_NAME is what comes before the role in the name of a service that has one role. Beside
them an endpoint variable alone turns tracing on, as OpenTelemetry's agents do it.
"""

import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from perdure.config import convert
from perdure.config.errors import ConfigError
from perdure.config.otel import Connection, Exporter, ExporterSpec, Otel
from perdure.telemetry.tracing import NO_TRACING, Tracer

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

    from perdure.telemetry.span_export import SpanObserver

_OWN_NAME: Final = "perdure"
_TRACES_PATH: Final = "/v1/traces"
_PREFIXES: Final = ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_")
"""The variable of the signal goes before the general one."""
_MILLISECONDS: Final = 1_000


def connect(
    *,
    otel: Otel,
    endpoint: str,
    roles: Sequence[str],
    version: str,
    environment: Mapping[str, str],
    observer: "SpanObserver",
    node: str = "",
) -> Tracer:
    """Returns the tracer that the configuration or the environment asks for; else the one off.

    Args:
        otel: Temporal's section.
        endpoint: The short form: URL of one collector, by gRPC; or empty.
        roles: The process's, for the name of the service.
        version: Sent with every span.
        environment: The process's.
        observer: Told of what becomes of spans.
        node: The process's name in its cluster, sent with every span; or empty.

    Raises:
        ConfigError: The OpenTelemetry packages are not installed, or a variable has a value that
            nothing here understands.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return NO_TRACING
    makers = _configured(otel, endpoint) or _of_environment(environment)
    if not makers:
        return NO_TRACING
    try:
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 costs memory only here

        from perdure.telemetry.opentelemetry import OpenTelemetryTracer  # noqa: PLC0415
        from perdure.telemetry.span_export import QueueLimits, SpanQueue  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "tracing needs the OpenTelemetry packages: pip install 'perdure[tracing]'"
        ) from error
    limits = QueueLimits.read(environment)
    # What they say of a collector that is away, again and again, the queue says once.
    for library in ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    provider = TracerProvider(resource=resource(roles, version, node), shutdown_on_exit=False)
    for collector, make in makers:
        queue = SpanQueue(make(), collector=collector, limits=limits, observer=observer)
        provider.add_span_processor(queue)
    return OpenTelemetryTracer(provider)


def resource(roles: Sequence[str], version: str, node: str = "") -> "Resource":
    """Returns what every span says of this process.

    Of service.name the variables have the beginning, of everything else the last word.
    """
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415

    theirs = OTELResourceDetector().detect().attributes
    name = str(theirs.get("service.name", _OWN_NAME))
    ours = {"service.version": version}
    if node:
        ours["service.instance.id"] = node
    full = f"{name}.{roles[0]}" if len(roles) == 1 else name
    return Resource.create({**ours, **theirs, "service.name": full})


_Maker = tuple[str, "Callable[[], SpanExporter]"]
"""What a collector is called in the log, and what makes its exporter."""


def _configured(otel: Otel, endpoint: str) -> list[_Maker]:
    found = [_maker(otel, each) for each in otel.exporters if each.kind.signal != "metrics"]
    if endpoint:
        found.append((endpoint, lambda: _grpc_exporter(endpoint)))
    return found


def _maker(otel: Otel, exporter: Exporter) -> _Maker:
    connection, spec = otel.connection(exporter), exporter.spec
    if exporter.kind.proto == "http":
        return connection.endpoint, lambda: _http_exporter(connection, spec)
    return connection.endpoint, lambda: _configured_grpc(connection, spec)


def _of_environment(environment: Mapping[str, str]) -> list[_Maker]:
    chosen = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    endpoint = _variable(environment, "ENDPOINT")
    if not chosen and not endpoint:
        return []
    kinds = {kind.strip() for kind in (chosen or "otlp").split(",")}
    if unknown := sorted(kinds - {"otlp", "none"}):
        raise ConfigError(f'OTEL_TRACES_EXPORTER is "{unknown[0]}": it must be otlp or none')
    if "otlp" not in kinds:
        return []
    match _variable(environment, "PROTOCOL") or "grpc":
        case "grpc":
            return [(endpoint or "http://localhost:4317", lambda: _grpc_exporter(""))]
        case "http/protobuf":
            return [(endpoint or "http://localhost:4318", lambda: _http_of(environment))]
        case protocol:
            raise ConfigError(
                f'OTEL_EXPORTER_OTLP_PROTOCOL is "{protocol}": it must be grpc or http/protobuf'
            )


def _variable(environment: Mapping[str, str], name: str) -> str:
    values = (environment.get(prefix + name, "").strip() for prefix in _PREFIXES)
    return next(filter(None, values), "")


def _grpc_exporter(endpoint: str) -> "SpanExporter":
    """Returns an exporter that leaves to the environment what it is not told."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(endpoint=endpoint or None)


def _configured_grpc(connection: Connection, spec: ExporterSpec) -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(
        endpoint=connection.endpoint,
        insecure=connection.insecure,
        headers={name.lower(): value for name, value in spec.headers.items()},
        timeout=convert.seconds(spec.timeout),
        channel_options=_channel_options(connection),  # type: ignore[arg-type] # gRPC takes numbers
    )


def _channel_options(connection: Connection) -> tuple[tuple[str, str | int], ...]:
    params = connection.connect_params
    options: list[tuple[str, str | int]] = [
        ("grpc.min_reconnect_backoff_ms", _milliseconds(params.min_connect_timeout)),
        ("grpc.initial_reconnect_backoff_ms", _milliseconds(params.backoff.base_delay)),
        ("grpc.max_reconnect_backoff_ms", _milliseconds(params.backoff.max_delay)),
    ]
    if connection.user_agent:
        options.append(("grpc.primary_user_agent", connection.user_agent))
    if connection.authority:
        options.append(("grpc.default_authority", connection.authority))
        options.append(("grpc.ssl_target_name_override", connection.authority))
    return tuple(options)


def _milliseconds(duration: str) -> int:
    return round(convert.seconds(duration) * _MILLISECONDS)


def _http_exporter(connection: Connection, spec: ExporterSpec) -> "SpanExporter":
    from perdure.telemetry.otlp_http import HttpSpanExporter  # noqa: PLC0415

    endpoint = connection.endpoint
    if "://" not in endpoint:
        endpoint = f"{'http' if connection.insecure else 'https'}://{endpoint}"
    agent = {"User-Agent": connection.user_agent} if connection.user_agent else {}
    return HttpSpanExporter(
        _with_path(endpoint),
        headers={**spec.headers, **agent},
        timeout_seconds=convert.seconds(spec.timeout),
        compressed=False,
        tls=None,
    )


def _http_of(environment: Mapping[str, str]) -> "SpanExporter":
    from perdure.telemetry.otlp_http import HttpSpanExporter  # noqa: PLC0415

    url = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    if not url:
        # The general variable names what the signals' paths are below.
        base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
        url = (base or "http://localhost:4318").rstrip("/") + _TRACES_PATH
    _check_url(url)
    timeout = _variable(environment, "TIMEOUT") or "10"
    try:
        seconds = float(timeout)
    except ValueError:
        raise ConfigError(f'OTEL_EXPORTER_OTLP_TIMEOUT is "{timeout}", not a number') from None
    return HttpSpanExporter(
        url,
        headers=_headers(_variable(environment, "HEADERS")),
        timeout_seconds=seconds,
        compressed=_variable(environment, "COMPRESSION").lower() == "gzip",
        tls=_tls(environment),
    )


def _with_path(url: str) -> str:
    _check_url(url)
    return url.rstrip("/") + _TRACES_PATH if urlsplit(url).path in {"", "/"} else url


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigError(
            f'"{url}" is no URL of a collector: it must begin with http:// or https://'
        )


def _headers(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {unquote(name).strip(): unquote(value).strip() for name, _, value in pairs}


def _tls(environment: Mapping[str, str]) -> ssl.SSLContext | None:
    authority = _variable(environment, "CERTIFICATE")
    certificate = _variable(environment, "CLIENT_CERTIFICATE")
    if not authority and not certificate:
        return None
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if certificate:
            context.load_cert_chain(certificate, _variable(environment, "CLIENT_KEY") or None)
    except OSError as error:
        raise ConfigError(
            f"cannot use the certificates of OTEL_EXPORTER_OTLP_*: {error}"
        ) from error
    return context
