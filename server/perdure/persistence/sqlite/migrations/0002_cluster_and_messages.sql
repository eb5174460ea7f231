-- Membership, messages between workflows, and tasks by slot.

-- Processes that are part of the cluster.
CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    roles TEXT NOT NULL,
    address TEXT NOT NULL,
    version TEXT NOT NULL,
    format_version INTEGER NOT NULL,
    state TEXT NOT NULL,
    lease INTEGER NOT NULL,
    started INTEGER NOT NULL,
    renewed INTEGER NOT NULL
) WITHOUT ROWID;

-- Tasks of a range of slots, which a new owner offers again.
CREATE INDEX tasks_by_slot ON tasks (slot, task_id);

-- What runs have to tell other workflow ids, the next one first.
CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    due INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    id TEXT NOT NULL,
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (due, slot, id)
);

-- What workflow ids have taken in, until `expiry`.
CREATE TABLE receipts (
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    slot INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (namespace_id, workflow_id, request_id)
) WITHOUT ROWID;

-- The oldest receipts.
CREATE INDEX receipts_by_expiry ON receipts (expiry, slot);
