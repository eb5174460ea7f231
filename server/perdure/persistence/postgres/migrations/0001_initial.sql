-- kind: expand
--
-- The first schema of the PostgreSQL store.
--
-- Text is compared by code point (COLLATE "C"), as on every store. Every row of workflow state
-- carries its slot, so that shards can be split and merged without touching rows. What grows with
-- the number of workflows is divided into ranges of slots, so that vacuum and deletions in bulk
-- work on a part at a time; docs/decisions/0007-postgresql.md says why so many and why not all.

CREATE TABLE perdure_store (
    id smallint PRIMARY KEY CHECK (id = 1),
    cluster_id text NOT NULL,
    incarnation text NOT NULL
);

-- Epochs come from one sequence, so that they never repeat across split, merge or move.
CREATE SEQUENCE shard_epochs;

CREATE TABLE shards (
    first_slot int PRIMARY KEY,
    last_slot int NOT NULL,
    owner text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL UNIQUE
);

-- Processes of the cluster. Times are this database's, in nanoseconds.
CREATE TABLE nodes (
    name text COLLATE "C" PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    roles text NOT NULL,
    address text NOT NULL,
    version text NOT NULL,
    format bigint NOT NULL,
    state text NOT NULL,
    lease bigint NOT NULL,
    started bigint NOT NULL,
    renewed bigint NOT NULL
);

-- Runs: `start` is written once, `state` by every transition, in place where the page has room.
CREATE TABLE runs (
    slot int NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    start bytea NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (slot, run_id)
) PARTITION BY RANGE (slot);

CREATE TABLE current_runs (
    slot int NOT NULL,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (slot, namespace_id, workflow_id)
) PARTITION BY RANGE (slot);

CREATE TABLE history (
    slot int NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    first_event_id int NOT NULL,
    last_event_id int NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (slot, run_id, first_event_id)
) PARTITION BY RANGE (slot);

CREATE TABLE items (
    slot int NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    kind smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (slot, run_id, kind, key)
) PARTITION BY RANGE (slot);

-- Wake-up calls of runs, the next one first.
CREATE TABLE timers (
    due bigint NOT NULL,
    slot int NOT NULL,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (due, slot, namespace_id, workflow_id, run_id)
) PARTITION BY RANGE (slot);

-- What runs have to tell other workflows; the run is the sender.
CREATE TABLE messages (
    due bigint NOT NULL,
    slot int NOT NULL,
    id text COLLATE "C" NOT NULL,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (due, slot, id)
) PARTITION BY RANGE (slot);

-- What workflow ids have taken in.
CREATE TABLE receipts (
    slot int NOT NULL,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    expiry bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (slot, namespace_id, workflow_id, request_id)
) PARTITION BY RANGE (slot);

CREATE INDEX receipts_expiry ON receipts (expiry, slot);

-- Storage parameters belong to partitions. Rows of the outbox live for seconds: their tables are
-- vacuumed often, and at once, because every read of them begins where the dead rows are.
DO $$
DECLARE
    partitions CONSTANT int := 8;
    outbox CONSTANT text := 'autovacuum_vacuum_scale_factor = 0.02,'
        ' autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0';
    parted record;
BEGIN
    FOR parted IN
        SELECT * FROM (VALUES
            ('runs', 'fillfactor = 70, autovacuum_vacuum_scale_factor = 0.1'),
            ('current_runs', 'fillfactor = 90'),
            ('history', 'fillfactor = 100'),
            ('items', outbox),
            ('timers', outbox),
            ('messages', outbox),
            ('receipts', 'fillfactor = 100')
        ) AS parted (name, parameters), generate_series(0, partitions - 1) AS number
    LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s) WITH (%s)',
            parted.name || '_' || parted.number, parted.name,
            parted.number * (16384 / partitions), (parted.number + 1) * (16384 / partitions),
            parted.parameters
        );
    END LOOP;
END
$$;

-- Tasks that wait for a poller, in dispatch order. Not divided: they are found by their queue,
-- which any slot may have tasks on.
CREATE TABLE tasks (
    queue_namespace_id text COLLATE "C" NOT NULL,
    queue_name text COLLATE "C" NOT NULL,
    queue_type smallint NOT NULL,
    queue_partition bigint NOT NULL,
    pinned_version text COLLATE "C" NOT NULL,
    priority bigint NOT NULL,
    fairness_key text COLLATE "C" NOT NULL,
    task_id bigint NOT NULL,
    slot int NOT NULL,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    scheduled_event_id bigint NOT NULL,
    attempt bigint NOT NULL,
    scheduled_time bigint NOT NULL,
    expiry bigint NOT NULL,
    sticky boolean NOT NULL,
    PRIMARY KEY (
        queue_namespace_id, queue_name, queue_type, queue_partition,
        pinned_version, priority, fairness_key, task_id
    )
) WITH (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- A new owner of slots hints their tasks again.
CREATE INDEX tasks_slot ON tasks (slot, task_id);

-- What List and Count see. `close_order` is the close time, or later than any while open.
CREATE TABLE visibility (
    run_id text COLLATE "C" PRIMARY KEY,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    workflow_type text COLLATE "C",
    task_queue text COLLATE "C",
    status int NOT NULL,
    start_time bigint NOT NULL,
    execution_time bigint NOT NULL,
    close_time bigint,
    history_length bigint,
    history_size_bytes bigint,
    state_transition_count bigint,
    parent_workflow_id text COLLATE "C",
    parent_run_id text COLLATE "C",
    root_workflow_id text COLLATE "C",
    root_run_id text COLLATE "C",
    memo bytea,
    search_attributes bytea,
    search_values jsonb,
    close_order bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- Listings without a filter, and every listing's order.
CREATE INDEX visibility_listing ON visibility (namespace_id, close_order, start_time, run_id);

-- The filter that people use most.
CREATE INDEX visibility_workflow ON visibility (namespace_id, workflow_id);

CREATE TABLE namespaces (
    id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    version bigint NOT NULL,
    data bytea NOT NULL
);

CREATE TABLE documents (
    name text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    data bytea NOT NULL
);

-- Ends the transaction when a statement did not find what it expected, so that a batch needs no
-- answer before its COMMIT is on the way. `what` names the expectation.
CREATE FUNCTION perdure_expect(what text, counted bigint, expected bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF counted IS DISTINCT FROM expected THEN
        RAISE EXCEPTION '%', what USING ERRCODE = 'PDX01';
    END IF;
    RETURN true;
END
$$;

-- The cluster's time: nanoseconds since 1970.
CREATE FUNCTION perdure_now() RETURNS bigint LANGUAGE sql VOLATILE
RETURN (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000000)::bigint;
