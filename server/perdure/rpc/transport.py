"""How connections behave: the knobs of the gRPC transport, with the real server's values.

SDKs ping an idle connection every 10 s to 30 s; grpc.aio's own defaults answer a client that pings
every 10 s with GOAWAY "too_many_pings" within a minute. Connections have a bounded age, so that
clients spread over new nodes and an old certificate authority really dies.
"""

from dataclasses import dataclass
from typing import Final

_MILLISECONDS: Final = 1_000
_MEBIBYTE: Final = 1 << 20


@dataclass(slots=True, frozen=True)
class TransportSettings:
    """What every listener is opened with. Times are seconds.

    Attributes:
        max_request_bytes: A larger request is refused with the text that SDKs recognise.
        max_error_bytes: What the text of an error is cut to.
        max_received_bytes: What the transport takes in at all, to be able to refuse it so.
        min_ping_seconds: Clients may ping as often as this, also without calls under way.
        keepalive_seconds: After how long without traffic the server pings.
        keepalive_timeout_seconds: How long it waits for the answer before it hangs up.
        max_idle_seconds: A connection without calls is closed after this.
        max_age_seconds: A connection is told to go away after this; calls under way go on.
        max_age_grace_seconds: How long they may go on: longer than a long poll lasts.
        share_port: Whether other processes of this host listen on the same port, each taking a
            share of its connections. Else a port that is in use is an error.
    """

    max_request_bytes: int = 4 * _MEBIBYTE
    max_error_bytes: int = 4_000
    max_received_bytes: int = 32 * _MEBIBYTE
    min_ping_seconds: float = 10.0
    keepalive_seconds: float = 60.0
    keepalive_timeout_seconds: float = 10.0
    max_idle_seconds: float = 120.0
    max_age_seconds: float = 300.0
    max_age_grace_seconds: float = 70.0
    share_port: bool = False

    def channel_arguments(self) -> list[tuple[str, int]]:
        """Returns the settings as gRPC's channel arguments."""
        return [
            ("grpc.so_reuseport", int(self.share_port)),
            ("grpc.max_receive_message_length", self.max_received_bytes),
            ("grpc.max_send_message_length", -1),
            # A client's timer may fire a little early: its pings are counted with some slack.
            ("grpc.http2.min_ping_interval_without_data_ms", _ms(self.min_ping_seconds * 0.9)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.keepalive_time_ms", _ms(self.keepalive_seconds)),
            ("grpc.keepalive_timeout_ms", _ms(self.keepalive_timeout_seconds)),
            # Without it the bound is gRPC's own for pings, a minute.
            ("grpc.http2.ping_timeout_ms", _ms(self.keepalive_timeout_seconds)),
            ("grpc.max_connection_idle_ms", _ms(self.max_idle_seconds)),
            ("grpc.max_connection_age_ms", _ms(self.max_age_seconds)),
            ("grpc.max_connection_age_grace_ms", _ms(self.max_age_grace_seconds)),
        ]


def _ms(seconds: float) -> int:
    return round(seconds * _MILLISECONDS)
