"""The machines of a run, and what an operator does to them: start, stop; also what fate does.

Rules that hold here: a crash gives no warning and runs no clean-up; the next process finds what the
store holds. A machine that something is done to is left alone until that is over.
"""

import asyncio
from collections.abc import Sequence

from perdure.config.static import ServerConfig
from perdure.persistence.ports import ClusterRows, StartupError, StoreError
from simulation.loop import Process
from simulation.member_node import MemberNode
from simulation.node import Machine, Node, SoleNode, Surroundings
from simulation.store import SimulatedDatabase

STOP_SECONDS = 120.0
"""Longer than a shutdown takes that is given all its grace periods."""


class Fleet:
    """Keeps machines running, except when it does not.

    Attributes:
        machines: All of them; one that is not to run yet is busy.
    """

    def __init__(
        self,
        *,
        machines: Sequence[Machine],
        configs: Sequence[ServerConfig],
        database: SimulatedDatabase,
        around: Surroundings,
    ) -> None:
        """Makes a fleet that does not run.

        Args:
            machines: All of them.
            configs: Of the machines' processes; none when the only machine is alone.
            database: The store.
            around: What processes are put into.
        """
        self.machines = machines
        self._configs = {config.node.name: config for config in configs}
        self._database = database
        self._around = around
        self._trace = around.trace

    def idle(self) -> list[Machine]:
        """Returns the machines that serve, and that nothing is done to."""
        return [each for each in self.machines if each.node is not None and not each.busy]

    async def start(self, machine: Machine) -> None:
        """Starts a process, again and again until it serves."""
        while True:
            machine.starts += 1
            node = self._make(machine)
            try:
                await node.start()
            except (StoreError, StartupError) as error:
                self._trace.note(node.process.name, f"does not start: {error}")
                self._end(machine, node)
                await asyncio.sleep(1.0)
                continue
            machine.node = node
            self._trace.note(node.process.name, "serves")
            return

    def kill(self, machine: Machine) -> None:
        """Ends a process without warning."""
        assert machine.node is not None
        self._end(machine, machine.node)
        self._trace.note(machine.host, "is killed")

    async def stop(self, machine: Machine) -> None:
        """Ends a process in good order."""
        node = machine.node
        assert node is not None
        self._trace.note(node.process.name, "is told to stop")
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await node.stop()
        except TimeoutError:
            self._trace.violation(f"{node.process.name} does not stop")
        self._end(machine, node)
        self._trace.note(node.process.name, "has stopped")

    def _end(self, machine: Machine, node: Node) -> None:
        machine.node = None
        node.kill()
        self._around.network.disconnect(machine.host)

    def _make(self, machine: Machine) -> Node:
        process = Process(f"{machine.host}-{machine.starts}")
        session = self._database.session(process)
        config = self._configs.get(machine.host)
        if config is None:
            return SoleNode(machine=machine, session=session, process=process, around=self._around)
        return MemberNode(
            config=config,
            on_ownership=self.check_owners,
            machine=machine,
            session=session,
            process=process,
            around=self._around,
        )

    # What must hold

    def members(self) -> list[MemberNode]:
        """Returns the processes of the cluster that serve."""
        nodes = (machine.node for machine in self.machines)
        return [node for node in nodes if isinstance(node, MemberNode)]

    def check_owners(self) -> None:
        """Reports a shard for which two nodes would answer from memory."""
        owners: dict[int, str] = {}
        for node in self.members():
            for slot in node.served_from_memory():
                other = owners.setdefault(slot, node.process.name)
                if other != node.process.name:
                    self._trace.violation(
                        f"{other} and {node.process.name} both answer for the shard at {slot}"
                    )

    def unsettled(self) -> str:
        """Returns what keeps the cluster from having come to rest, or ""."""
        members = self.members()
        hosts = sorted(node.member.node.name for node in members)
        if len(members) != len(self._configs):
            return f"only {hosts} run"
        for node in members:
            view = node.member.view
            if [each.name for each in view.nodes] != hosts:
                return f"{node.process.name} sees {[each.name for each in view.nodes]}"
            if queues := node.foreign_queues():
                return f"{node.process.name} has polls of {queues}, which are another's"
            for shard in view.shards:
                if shard.owner != view.desired_history_owner(shard):
                    return f"{node.process.name} sees {shard}, which should be another's"
        served = sorted(slot for node in members for slot in node.served_from_memory())
        if members and served != [shard.first_slot for shard in members[0].member.view.shards]:
            return f"shards are served at {served} only"
        return ""

    def left_over(self, rows: ClusterRows) -> list[str]:
        """Returns what is left in the store of a cluster that has been stopped."""
        # A shard may still name an owner: one that was taken while its taker left. It is nobody's,
        # since whoever it names is not registered.
        return [f"{node.name} is still registered" for node in rows.nodes]
