"""Refuses calls of those whose certificate was revoked, on connections that are open too.

A revoked certificate still makes connections, because the transport knows no list; every call on
them is refused. When the list changes, calls under way end that would be refused now, so that
no long poll brings one more task.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from perdure.core.errors import Code, ServiceError
from perdure.rpc.peer_certificate import Authenticated, peer_certificate
from perdure.rpc.tls.denied import NOBODY, Denied


class RevokedCertificateError(ServiceError):
    """The caller's certificate is on the deny list."""

    code = Code.UNAUTHENTICATED

    def __init__(self) -> None:
        super().__init__("the certificate of this client was revoked: have a new one issued")


class Gate:
    """Knows who is refused, and which calls are under way."""

    def __init__(self, denied: Denied = NOBODY) -> None:
        """Makes a gate.

        Args:
            denied: Who is refused at first.
        """
        self._denied = denied
        self._calls: dict[asyncio.Task[object], Authenticated] = {}
        self._ended: set[asyncio.Task[object]] = set()

    def change(self, denied: Denied) -> None:
        """Refuses others from now on, and ends the calls under way of those that are new."""
        self._denied = denied
        if not denied:
            return
        for task, call in self._calls.items():
            if task not in self._ended and denied.refuses(peer_certificate(call)):
                self._ended.add(task)
                task.cancel()

    @contextmanager
    def passed(self, call: Authenticated) -> Iterator[None]:
        """Lets a call through while its certificate is not refused.

        Raises:
            RevokedCertificateError: It is, or came to be while the call was under way.
        """
        if self._denied and self._denied.refuses(peer_certificate(call)):
            raise RevokedCertificateError
        task = asyncio.current_task()
        assert task is not None, "a call has a task of its own"
        self._calls[task] = call
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise RevokedCertificateError from None
        finally:
            del self._calls[task]
            self._ended.discard(task)
