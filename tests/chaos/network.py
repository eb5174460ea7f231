"""Namespaces for processes that can be cut off from each other, without a packet coming through.

A proxy between processes would end a connection or hold it; a network that is gone does neither,
which is what keepalives and timeouts are for. The harness lives in a network namespace of its own
(`isolate`): nothing here reaches the machine's network, and all of it ends with its processes.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from chaos.processes import run

ISOLATED = "PERDURE_CHAOS_ISOLATED"
"""Set in a process that has namespaces of its own."""
HUB = "10.99.0.1"
"""The harness and its database, as the processes see them."""
_BRIDGE = "chaos0"
_NAMES = "/run/netns"
_UNSHARE = ("unshare", "--net", "--mount", "--propagation", "private", "--")


def isolate() -> None:
    """Runs this program anew in namespaces of its own, where it may have them."""
    if ISOLATED in os.environ or os.geteuid() or not shutil.which("unshare"):
        return
    if subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode:
        return
    os.environ[ISOLATED] = "yes"
    os.execvp(_UNSHARE[0], [*_UNSHARE, sys.executable, "-m", "chaos", *sys.argv[1:]])


def open_loopback() -> None:
    """Makes the loopback of new namespaces usable, and names of namespaces nobody else's."""
    if ISOLATED in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        os.makedirs(_NAMES, exist_ok=True)  # noqa: PTH103
        subprocess.run(["mount", "-t", "tmpfs", "chaos", _NAMES], check=True)


def why_not() -> str:
    """Says why there can be no namespaces; empty when there can."""
    if ISOLATED not in os.environ:
        return "needs root and the right to make namespaces"
    return "" if shutil.which("nft") else "needs nft: apt-get install nftables"


class Network:
    """A bridge with one namespace for each process.

    Attributes:
        addresses: Of the processes, by name.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}

    @classmethod
    async def make(cls, names: Sequence[str]) -> "Network":
        """Makes a namespace for each name."""
        network = cls()
        await run("ip", "link", "add", "name", _BRIDGE, "type", "bridge")
        await run("ip", "address", "add", f"{HUB}/24", "dev", _BRIDGE)
        await run("ip", "link", "set", _BRIDGE, "up")
        for number, name in enumerate(names, 1):
            await network._add(name, number)
        return network

    async def _add(self, name: str, number: int) -> None:
        address = f"10.99.0.{10 + number}"
        outside, inside = f"out{number}", f"in{number}"
        await run("ip", "netns", "add", name)
        self.addresses[name] = address
        await run("ip", "link", "add", "name", outside, "type", "veth", "peer", "name", inside)
        await run("ip", "link", "set", inside, "netns", name)
        await run("ip", "link", "set", outside, "master", _BRIDGE, "up")
        await run("ip", "-n", name, "address", "add", f"{address}/24", "dev", inside)
        for device in (inside, "lo"):
            await run("ip", "-n", name, "link", "set", device, "up")
        await self._nft(name, "add", "table", "inet", "chaos")
        for hook in ("input", "output"):
            chain = f"{{ type filter hook {hook} priority 0; }}"
            await self._nft(name, "add", "chain", "inet", "chaos", hook, chain)

    def prefix(self, name: str) -> tuple[str, ...]:
        """Returns the command that runs another one in the namespace of a process."""
        return ("ip", "netns", "exec", name)

    async def cut(self, name: str, peers: Sequence[str]) -> None:
        """Drops every packet between a process and some addresses."""
        for peer in peers:
            await self._nft(
                name, "add", "rule", "inet", "chaos", "input", "ip", "saddr", peer, "drop"
            )
            await self._nft(
                name, "add", "rule", "inet", "chaos", "output", "ip", "daddr", peer, "drop"
            )

    async def heal(self, name: str) -> None:
        """Drops nothing any more."""
        await self._nft(name, "flush", "table", "inet", "chaos")

    async def remove(self) -> None:
        """Removes every namespace; its devices go with it."""
        for name in self.addresses:
            await run("ip", "netns", "delete", name)
        await run("ip", "link", "delete", _BRIDGE)

    async def _nft(self, name: str, *words: str) -> None:
        await run(*self.prefix(name), "nft", *words)
