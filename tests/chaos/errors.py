"""What keeps a scenario from being run."""


class ChaosError(Exception):
    """A scenario could not be carried out; the message says why."""
