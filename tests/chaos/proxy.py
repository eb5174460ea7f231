"""A TCP proxy on the loopback: several servers behind one port, and delays."""

import asyncio
from contextlib import suppress
from itertools import count

Server = tuple[str, int]
_CHUNK_BYTES = 65536
_END = b""


class Proxy:
    """Passes connections on, each to the next server that answers.

    Attributes:
        delay_seconds: How long every byte is held back, in either direction.
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, servers: list[Server]) -> None:
        self.delay_seconds = 0.0
        self.port = 0
        self._servers = servers
        self._turns = count()
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, servers: list[Server]) -> "Proxy":
        """Returns a proxy that listens."""
        proxy = cls(servers)
        proxy._listener = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        proxy.port = int(proxy._listener.sockets[0].getsockname()[1])
        return proxy

    async def stop(self) -> None:
        """Closes everything."""
        assert self._listener is not None
        self._listener.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError):
                from_server, to_server = await self._connect()
                try:
                    await asyncio.gather(
                        self._pass_on(from_client, to_server), self._pass_on(from_server, to_client)
                    )
                finally:
                    to_server.close()
        except asyncio.CancelledError:
            # The stream's callback would report it as an error of its own.
            return
        finally:
            to_client.close()
            self._connections.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        first = next(self._turns)
        for turn in range(first, first + len(self._servers)):
            host, port = self._servers[turn % len(self._servers)]
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    return await asyncio.open_connection(host, port)
        raise ConnectionError("no server answers")

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Passes bytes on until their source ends; a delay does not keep others from following."""
        loop = asyncio.get_running_loop()
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def read() -> None:
            while True:
                try:
                    data = await source.read(_CHUNK_BYTES)
                except OSError:
                    data = _END
                held.put_nowait((loop.time() + self.delay_seconds, data))
                if data == _END:
                    return

        reading = asyncio.create_task(read())
        try:
            while True:
                due, data = await held.get()
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                if data == _END:
                    sink.close()
                    return
                sink.write(data)
                await sink.drain()
        finally:
            reading.cancel()
