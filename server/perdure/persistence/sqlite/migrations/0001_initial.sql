-- The first schema of the SQLite store.
--
-- Rows of a run are keyed by the run's number, which the only writer counts up: neighbours in time
-- share pages. Tables with large rows keep SQLite's own row ids, since rows of a table WITHOUT
-- ROWID spill to overflow pages from 1,002 bytes on.

-- One row: who this store is, and the last epoch handed out.
CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    cluster_id TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    last_epoch INTEGER NOT NULL
);

-- Who may write which slots.
CREATE TABLE shards (
    first_slot INTEGER PRIMARY KEY,
    last_slot INTEGER NOT NULL,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL UNIQUE
);

-- Runs: `start` is written once, `state` by every transition.
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    start BLOB NOT NULL,
    state BLOB NOT NULL
);

-- The current run of every workflow id.
CREATE TABLE current_runs (
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (namespace_id, workflow_id)
) WITHOUT ROWID;

-- History batches: `position` is the run's number times 2**24 plus the first event's id.
CREATE TABLE history (
    position INTEGER PRIMARY KEY,
    last_event_id INTEGER NOT NULL,
    data BLOB NOT NULL
);

-- Pending items of runs.
CREATE TABLE items (
    run_number INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run_number, kind, key)
) WITHOUT ROWID;

-- Tasks that wait for a poller, in dispatch order.
CREATE TABLE tasks (
    queue_namespace_id TEXT NOT NULL,
    queue_name TEXT NOT NULL,
    queue_type INTEGER NOT NULL,
    queue_partition INTEGER NOT NULL,
    pinned_version TEXT NOT NULL,
    priority INTEGER NOT NULL,
    fairness_key TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    scheduled_event_id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    scheduled_time INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    sticky INTEGER NOT NULL,
    PRIMARY KEY (
        queue_namespace_id, queue_name, queue_type, queue_partition,
        pinned_version, priority, fairness_key, task_id
    )
) WITHOUT ROWID;

-- Wake-up calls of runs, the next one first.
CREATE TABLE timers (
    due INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (due, slot, namespace_id, workflow_id, run_id)
) WITHOUT ROWID;

-- What List and Count see. `close_order` is the close time, or later than any while open.
CREATE TABLE visibility (
    number INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    workflow_type TEXT,
    task_queue TEXT,
    status INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    execution_time INTEGER NOT NULL,
    close_time INTEGER,
    history_length INTEGER,
    history_size_bytes INTEGER,
    state_transition_count INTEGER,
    parent_workflow_id TEXT,
    parent_run_id TEXT,
    root_workflow_id TEXT,
    root_run_id TEXT,
    memo BLOB,
    search_attributes BLOB,
    search_values TEXT,
    close_order INTEGER NOT NULL
);

-- Listings without a filter, and every listing's order.
CREATE INDEX visibility_listing ON visibility (namespace_id, close_order, start_time, run_id);

-- The filter that people use most.
CREATE INDEX visibility_workflow ON visibility (namespace_id, workflow_id);

CREATE TABLE namespaces (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    data BLOB NOT NULL
) WITHOUT ROWID;

-- Named cluster-wide documents.
CREATE TABLE documents (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    data BLOB NOT NULL
) WITHOUT ROWID;
