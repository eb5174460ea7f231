"""The benchmark: the real dev server, Perdure and a no-op floor under one load, in one run.

`python -m bench` (with `tests/` on the path) is the orchestrator. It starts one server process and
one load generator process at a time and only ever waits while they work, so that two cores suffice.

- `scenarios`, `comparisons`: what a workflow does, and which servers are compared by what.
- `wire`, `requests`, `rpcs`, `worker`, `client`, `generator`: the load generator.
- `floor`, `floor_responses`: the server that answers the same RPCs and does nothing else.
- `targets`, `database`, `processes`, `runner`, `profiler`: the servers, their lives, the rounds.
- `commits`: how many transactions a database took.
- `backlog`, `bulk_loader`, `drain`: a big backlog, how it comes to be, and how it is taken.
- `results`, `stats`, `gates`, `report`: samples become rows, rows meet gates and become tables.

Rules: every target gets the same requests in the same order; completion is observed in the same way
for all of them; a number is never shown without what would make it void.
"""
