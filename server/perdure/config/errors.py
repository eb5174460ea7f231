"""What is wrong with a configuration, in a sentence."""


class ConfigError(Exception):
    """The server cannot start as it is configured; the message is one sentence with the fix."""
