"""What this package tells of its work; `app` makes metrics of it."""

from typing import Protocol


class AccessObserver(Protocol):
    """Hears of every decision, and of the keys that tokens are verified with."""

    def decided(self, namespace: str, seconds: float) -> None:
        """A call was allowed or refused.

        Args:
            namespace: As the request names it: not known to exist, empty when it names none.
            seconds: What the decision took, claims and keys included.
        """
        ...

    def refused(self, namespace: str) -> None:
        """A call was refused: its caller may not make it, or is not who it says."""
        ...

    def undecided(self, namespace: str) -> None:
        """A call was refused because there are no keys to verify its token with."""
        ...

    def keys_read(self, *, succeeded: bool) -> None:
        """One source of keys was read, or could not be."""
        ...

    def keys_known(self, number: int) -> None:
        """Tokens are verified with so many keys from now on."""
        ...


class SilentObserver:
    """An `AccessObserver` that notes nothing."""

    def decided(self, namespace: str, seconds: float) -> None:
        """Notes nothing."""

    def refused(self, namespace: str) -> None:
        """Notes nothing."""

    def undecided(self, namespace: str) -> None:
        """Notes nothing."""

    def keys_read(self, *, succeeded: bool) -> None:
        """Notes nothing."""

    def keys_known(self, number: int) -> None:
        """Notes nothing."""
