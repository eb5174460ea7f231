"""What an operator may set about matching."""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True, kw_only=True)
class MatchingSettings:
    """Bounds of memory and time. Durations are seconds.

    Attributes:
        held_tasks_per_queue: Tasks of one queue kept in memory; further ones are read from their
            rows. About 500 bytes each.
        page_size: Rows that one read of a queue brings.
        long_poll_expiration: After how long a poll without a task ends with an empty response.
        idle_unload: After how long without polls and tasks a queue's memory is dropped.
        shortest_read_interval: Age of the last full read of a queue's rows after which they are
            read again while pollers wait, when the last reads brought tasks of which no hint came.
        longest_read_interval: The same, when many reads in a row brought none. Also the longest
            that one pass over a big backlog goes on before it begins anew at the queue's head.
        transaction_window: Longer than any transaction that writes tasks can stay open.
        shortest_start_retry: First pause after history could not record a task as started.
        longest_start_retry: Longest such pause.
        recent_poller: How long after its last poll a queue counts as having a worker.
        query_poller: How long after the last poll a query that nobody took is called late rather
            than sent to a queue without workers.
        poller_history: How long a poll is reported by DescribeTaskQueue.
        poller_identities_per_queue: Of how many identities the last poll is remembered.
        rate_window: Over how long add and dispatch rates are taken.
        scaling_idle_wait: How long a poll waited for its answer to suggest that workers poll less.
        scaling_backlog_age: How old a task must be for an answer to suggest that they poll more.
        scaling_decisions_per_second: How often more polls are suggested, for each poll.
        read_partitions: Over how many partitions of a queue that is not sticky polls spread.
        write_partitions: Over how many of them history spreads tasks.
        poll_move: How long a poll waits at a partition before it goes on to wait at the root.
        forwards: Tasks of one partition without pollers that wait at its root at one time.
        forward_wait: How long each of them waits there.
        departed_memory: How long a worker that goes away is remembered: as long as a poll may take
            from one partition to another.
        departed_workers: How many are.
        config_refresh: How often what operators configure of queues is read, while there are some.
        worker_memory: How long a worker is known after its last heartbeat.
        remembered_workers: How many are, in all namespaces; about 2 kB each.
        describe_rows: Rows that DescribeTaskQueue reads at most to count a backlog.
        drain: How long closing waits for undoing starts whose poller is gone.
    """

    held_tasks_per_queue: int = 1_000
    page_size: int = 200
    long_poll_expiration: float = 60.0
    idle_unload: float = 300.0
    shortest_read_interval: float = 1.0
    longest_read_interval: float = 30.0
    transaction_window: float = 10.0
    shortest_start_retry: float = 0.05
    longest_start_retry: float = 2.0
    recent_poller: float = 10.0
    query_poller: float = 20.0
    poller_history: float = 300.0
    poller_identities_per_queue: int = 1_000
    rate_window: float = 30.0
    scaling_idle_wait: float = 1.0
    scaling_backlog_age: float = 0.2
    scaling_decisions_per_second: int = 10
    read_partitions: int = 1
    write_partitions: int = 1
    poll_move: float = 0.02
    forwards: int = 8
    forward_wait: float = 20.0
    departed_memory: float = 2.0
    departed_workers: int = 1_000
    config_refresh: float = 2.0
    worker_memory: float = 300.0
    remembered_workers: int = 1_000_000
    describe_rows: int = 1_000
    drain: float = 5.0

    @property
    def partitions(self) -> int:
        """How many partitions of a queue may be in use."""
        return max(self.read_partitions, self.write_partitions)
