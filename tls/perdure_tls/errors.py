"""What `perdure tls` says when it cannot do what it is asked."""


class TlsError(Exception):
    """A refusal: one sentence, with the fix where there is one."""


class Waiting(Exception):
    """A rotation stands still until something outside of it is so; the message says what."""
