"""The commands of `perdure tls`, one per module."""
