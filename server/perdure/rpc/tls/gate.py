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
from perdure.rpc.tls.nodes import is_node


class RevokedCertificateError(ServiceError):
    """The caller's certificate is on the deny list."""

    code = Code.UNAUTHENTICATED

    def __init__(self) -> None:
        super().__init__("the certificate of this client was revoked: have a new one issued")


class NotANodeError(ServiceError):
    """The caller's certificate is nobody's who may call what nodes ask of each other."""

    code = Code.PERMISSION_DENIED

    def __init__(self) -> None:
        super().__init__(
            "this port is for the nodes of the cluster, and the certificate is none of a node: call"
            " a frontend"
        )


class Gate:
    """Knows who is refused, and which calls are under way."""

    def __init__(self, denied: Denied = NOBODY, *, nodes_only: bool = False) -> None:
        """Makes a gate.

        Args:
            denied: Who is refused at first.
            nodes_only: Whether only nodes may call; anybody may ask for health all the same.
        """
        self._denied = denied
        self._nodes_only = nodes_only
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
    def passed(self, call: Authenticated, *, harmless: bool = False) -> Iterator[None]:
        """Lets a call through while its certificate is not refused.

        Args:
            call: The call.
            harmless: Whether others than nodes may make it in any case.

        Raises:
            RevokedCertificateError: It is, or came to be while the call was under way.
            NotANodeError: Only nodes may make this call.
        """
        if self._denied and self._denied.refuses(peer_certificate(call)):
            raise RevokedCertificateError
        if self._nodes_only and not harmless and not is_node(peer_certificate(call)):
            raise NotANodeError
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
