-- The first schema of the PostgreSQL store.
--
-- Text is compared by code point (COLLATE "C"), as on every store. Every row of workflow state
-- carries its slot, so that shards can be split and merged without touching rows.

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

-- Runs: `start` is written once, `state` by every transition, in place where the page has room.
CREATE TABLE runs (
    run_id text COLLATE "C" PRIMARY KEY,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    slot int NOT NULL,
    version bigint NOT NULL,
    start bytea NOT NULL,
    state bytea NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE current_runs (
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    slot int NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (namespace_id, workflow_id)
);

CREATE TABLE history (
    run_id text COLLATE "C" NOT NULL,
    first_event_id int NOT NULL,
    last_event_id int NOT NULL,
    slot int NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (run_id, first_event_id)
);

CREATE TABLE items (
    run_id text COLLATE "C" NOT NULL,
    kind smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    slot int NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (run_id, kind, key)
);

-- Tasks that wait for a poller, in dispatch order.
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
);

-- Wake-up calls of runs, the next one first.
CREATE TABLE timers (
    due bigint NOT NULL,
    slot int NOT NULL,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (due, slot, namespace_id, workflow_id, run_id)
);

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
);

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
