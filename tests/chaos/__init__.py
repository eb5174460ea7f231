"""Real faults on real processes, under a load of official SDK workers.

Theory of operation: every scenario has a world of its own: a PostgreSQL server, seven processes of
Perdure, a worker process, and a load in this process that writes down what it was told. A fault is
injected and healed, the load comes to its end, and then the histories that the server returns are
compared with what was written down.

Rules that hold here:

- A fault is only injected into processes that the harness has started; as root, all of them live in
  a network and mount namespace of the harness's own.
- What was promised is counted, not what was planned: a start, signal or completion counts from when
  the SDK returned it to its caller.
"""
