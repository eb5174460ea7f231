"""OTLP over HTTP: batches of spans as protobuf, by the standard library's client.

The exporter that OpenTelemetry ships needs a package of its own with an HTTP library below it; what
is encoded here is encoded by the same functions as for gRPC.
"""

import gzip
import random
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_PASSING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Statuses after which the OTLP specification has a batch sent again."""
_LONGEST_PAUSE_SECONDS = 8.0


class HttpSpanExporter(SpanExporter):
    """Posts batches; called from one thread."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_seconds: float,
        compressed: bool,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Makes an exporter.

        Args:
            url: Where batches go, path included; http or https.
            headers: Sent along.
            timeout_seconds: How long a batch may take, repetitions included.
            compressed: Whether batches are compressed by gzip.
            tls: Whom to trust, and who this is; None for what the machine trusts.
        """
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._compressed = compressed
        self._headers = {**headers, "Content-Type": "application/x-protobuf"}
        if compressed:
            self._headers["Content-Encoding"] = "gzip"
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=tls))
        self._closed = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch, again and again while the collector only cannot take it now."""
        data = encode_spans(spans).SerializeToString()
        if self._compressed:
            data = gzip.compress(data)
        deadline = time.monotonic() + self._timeout_seconds
        pause = 1.0
        while (left := deadline - time.monotonic()) > 0:
            taken = self._post(data, left)
            if taken is not None:
                return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE
            wait = pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads senders, no secret
            if time.monotonic() + wait >= deadline or self._closed.wait(wait):
                break
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Has nothing that waits."""
        return True

    def shutdown(self) -> None:
        """Ends a pause between two tries; what is under way ends by its time limit."""
        self._closed.set()

    def _post(self, data: bytes, timeout: float) -> bool | None:
        """Returns whether the batch was taken; None when it may be later."""
        request = urllib.request.Request(self._url, data, self._headers, method="POST")  # noqa: S310 - the operator's
        try:
            with self._opener.open(request, timeout=timeout) as response:
                response.read()
                return True
        except urllib.error.HTTPError as refused:
            refused.close()
            return None if refused.code in _PASSING else False
        except OSError:
            # Nobody is there, or the answer took too long.
            return None
