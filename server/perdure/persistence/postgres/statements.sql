-- name: create_version
-- Where the schema's version is kept.
CREATE TABLE IF NOT EXISTS perdure_schema (
    id smallint PRIMARY KEY CHECK (id = 1),
    version int NOT NULL,
    oldest_compatible int NOT NULL
)

-- name: find_version
-- Whether there is a version.
SELECT to_regclass('perdure_schema') IS NOT NULL

-- name: read_version
-- The schema's version, and the oldest that a release must know to use it.
SELECT version, oldest_compatible FROM perdure_schema

-- name: write_version
-- Enters the schema's version.
INSERT INTO perdure_schema (id, version, oldest_compatible) VALUES (1, %(version)s, %(oldest)s)
ON CONFLICT (id) DO UPDATE SET version = %(version)s, oldest_compatible = %(oldest)s

-- name: lock_schema
-- One server at a time changes the schema.
SELECT pg_advisory_xact_lock(5783416152331601234)

-- name: lock_takeovers
-- One takeover of shards at a time.
SELECT pg_advisory_xact_lock(5783416152331601235)

-- name: inspect
-- What decides whether this database may be used.
SELECT current_setting('server_encoding'), current_setting('server_version_num')::int,
    pg_is_in_recovery(), current_setting('synchronous_commit')

-- name: create_store
-- Names a new store.
INSERT INTO perdure_store (id, cluster_id, incarnation) VALUES (1, %s, %s) ON CONFLICT DO NOTHING

-- name: read_store
-- The store's names.
SELECT cluster_id, incarnation FROM perdure_store

-- name: acquire_shard
-- Replaces the shards that share a slot with a range; waits behind transactions that hold them.
WITH dropped AS (
    DELETE FROM shards WHERE first_slot <= %(last_slot)s AND last_slot >= %(first_slot)s
)
SELECT nextval('shard_epochs')

-- name: insert_shard
-- Enters a shard.
INSERT INTO shards (first_slot, last_slot, owner, epoch) VALUES (%s, %s, %s, %s)

-- name: lock_epochs
-- Which epochs still hold, locked against takeovers until the transaction ends.
SELECT first_slot, last_slot, owner, epoch FROM shards
WHERE epoch = ANY (%b::bigint[]) ORDER BY first_slot FOR SHARE

-- name: expect_epochs
-- Ends the transaction unless every epoch holds all slots that are written with it.
SELECT perdure_expect('fence', (
    SELECT COUNT(*) FROM (
        SELECT 1 FROM shards
        JOIN unnest(%b::bigint[], %b::int[], %b::int[]) AS written (epoch, low, high) USING (epoch)
        WHERE first_slot <= low AND last_slot >= high
        ORDER BY first_slot FOR SHARE OF shards
    ) AS held
), %b)

-- name: insert_current
-- First current runs of workflow ids.
INSERT INTO current_runs (namespace_id, workflow_id, slot, run_id)
SELECT * FROM unnest(%b::text[], %b::text[], %b::int[], %b::text[])

-- name: update_current
-- Next current runs of workflow ids; ends the transaction unless the expected ones are current.
WITH written AS (
    UPDATE current_runs AS stored SET run_id = next.run_id
    FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[])
        AS next (namespace_id, workflow_id, expected, run_id)
    WHERE stored.namespace_id = next.namespace_id AND stored.workflow_id = next.workflow_id
      AND stored.run_id = next.expected
    RETURNING 1
)
SELECT perdure_expect('current', COUNT(*), %b) FROM written

-- name: insert_runs
-- New runs.
INSERT INTO runs (run_id, namespace_id, workflow_id, slot, version, start, state)
SELECT * FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::int[], %b::bigint[], %b::bytea[], %b::bytea[]
)

-- name: update_runs
-- New states of runs; ends the transaction unless all have the expected versions.
WITH written AS (
    UPDATE runs AS stored SET version = next.version, state = next.state
    FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::bytea[])
        AS next (run_id, expected, version, state)
    WHERE stored.run_id = next.run_id AND stored.version = next.expected
    RETURNING 1
)
SELECT perdure_expect('version', COUNT(*), %b) FROM written

-- name: insert_history
-- History batches.
INSERT INTO history (run_id, first_event_id, last_event_id, slot, data)
SELECT * FROM unnest(%b::text[], %b::int[], %b::int[], %b::int[], %b::bytea[])

-- name: put_items
-- Pending items.
INSERT INTO items (run_id, kind, key, slot, data)
SELECT * FROM unnest(%b::text[], %b::smallint[], %b::text[], %b::int[], %b::bytea[])
ON CONFLICT (run_id, kind, key) DO UPDATE SET data = excluded.data

-- name: delete_items
-- Removes pending items.
DELETE FROM items USING unnest(%b::text[], %b::smallint[], %b::text[]) AS gone (run_id, kind, key)
WHERE items.run_id = gone.run_id AND items.kind = gone.kind AND items.key = gone.key

-- name: delete_tasks
-- Removes tasks.
DELETE FROM tasks USING unnest(
    %b::text[], %b::text[], %b::smallint[], %b::bigint[],
    %b::text[], %b::bigint[], %b::text[], %b::bigint[]
) AS gone (queue_namespace_id, queue_name, queue_type, queue_partition,
           pinned_version, priority, fairness_key, task_id)
WHERE tasks.queue_namespace_id = gone.queue_namespace_id AND tasks.queue_name = gone.queue_name
  AND tasks.queue_type = gone.queue_type AND tasks.queue_partition = gone.queue_partition
  AND tasks.pinned_version = gone.pinned_version AND tasks.priority = gone.priority
  AND tasks.fairness_key = gone.fairness_key AND tasks.task_id = gone.task_id

-- name: put_tasks
-- Tasks that wait for a poller.
INSERT INTO tasks (
    queue_namespace_id, queue_name, queue_type, queue_partition,
    pinned_version, priority, fairness_key, task_id, slot, namespace_id, workflow_id, run_id,
    scheduled_event_id, attempt, scheduled_time, expiry, sticky
)
SELECT * FROM unnest(
    %b::text[], %b::text[], %b::smallint[], %b::bigint[],
    %b::text[], %b::bigint[], %b::text[], %b::bigint[], %b::int[], %b::text[], %b::text[],
    %b::text[],
    %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::boolean[]
)
ON CONFLICT (queue_namespace_id, queue_name, queue_type, queue_partition,
             pinned_version, priority, fairness_key, task_id)
DO UPDATE SET slot = excluded.slot, namespace_id = excluded.namespace_id,
    workflow_id = excluded.workflow_id, run_id = excluded.run_id,
    scheduled_event_id = excluded.scheduled_event_id, attempt = excluded.attempt,
    scheduled_time = excluded.scheduled_time, expiry = excluded.expiry, sticky = excluded.sticky

-- name: delete_timers
-- Removes wake-up calls.
DELETE FROM timers USING unnest(%b::bigint[], %b::int[], %b::text[], %b::text[], %b::text[])
    AS gone (due, slot, namespace_id, workflow_id, run_id)
WHERE timers.due = gone.due AND timers.slot = gone.slot
  AND timers.namespace_id = gone.namespace_id AND timers.workflow_id = gone.workflow_id
  AND timers.run_id = gone.run_id

-- name: put_timers
-- Wake-up calls of runs.
INSERT INTO timers (due, slot, namespace_id, workflow_id, run_id)
SELECT * FROM unnest(%b::bigint[], %b::int[], %b::text[], %b::text[], %b::text[])
ON CONFLICT DO NOTHING

-- name: put_visibility
-- What listings see of runs.
INSERT INTO visibility (
    run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values, close_order
)
SELECT run_id, namespace_id, workflow_id, NULLIF(workflow_type, ''), NULLIF(task_queue, ''),
    status, start_time, execution_time, NULLIF(close_time, 0), NULLIF(history_length, 0),
    NULLIF(history_size_bytes, 0), NULLIF(state_transition_count, 0),
    NULLIF(parent_workflow_id, ''), NULLIF(parent_run_id, ''), NULLIF(root_workflow_id, ''),
    NULLIF(root_run_id, ''), NULLIF(memo, ''), NULLIF(search_attributes, ''),
    NULLIF(search_values, '')::jsonb, close_order
FROM unnest(
    %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::int[], %b::bigint[],
    %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[],
    %b::text[], %b::text[], %b::text[], %b::text[], %b::bytea[], %b::bytea[],
    %b::text[], %b::bigint[]
) AS row (
    run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values, close_order
)
ON CONFLICT (run_id) DO UPDATE SET
    workflow_type = excluded.workflow_type,
    task_queue = excluded.task_queue,
    status = excluded.status,
    start_time = excluded.start_time,
    execution_time = excluded.execution_time,
    close_time = excluded.close_time,
    history_length = excluded.history_length,
    history_size_bytes = excluded.history_size_bytes,
    state_transition_count = excluded.state_transition_count,
    parent_workflow_id = excluded.parent_workflow_id,
    parent_run_id = excluded.parent_run_id,
    root_workflow_id = excluded.root_workflow_id,
    root_run_id = excluded.root_run_id,
    memo = excluded.memo,
    search_attributes = excluded.search_attributes,
    search_values = excluded.search_values,
    close_order = excluded.close_order

-- name: delete_runs
-- Removes runs; ends the transaction unless all have the expected versions.
WITH written AS (
    DELETE FROM runs USING unnest(%b::text[], %b::bigint[]) AS gone (run_id, expected)
    WHERE runs.run_id = gone.run_id AND runs.version = gone.expected
    RETURNING 1
)
SELECT perdure_expect('version', COUNT(*), %b) FROM written

-- name: delete_rows_of_runs
-- Removes what else there is of runs.
WITH gone AS (SELECT unnest(%b::text[]) AS run_id),
    history_gone AS (DELETE FROM history USING gone WHERE history.run_id = gone.run_id),
    items_gone AS (DELETE FROM items USING gone WHERE items.run_id = gone.run_id),
    visibility_gone AS (DELETE FROM visibility USING gone WHERE visibility.run_id = gone.run_id)
SELECT 1

-- name: delete_current
-- Removes current runs that are these: namespaces, workflow ids, runs.
DELETE FROM current_runs USING unnest(%b::text[], %b::text[], %b::text[])
    AS gone (namespace_id, workflow_id, run_id)
WHERE current_runs.namespace_id = gone.namespace_id
  AND current_runs.workflow_id = gone.workflow_id AND current_runs.run_id = gone.run_id

-- name: load_run
-- A run and its items in one snapshot: the run's row first.
SELECT 0, version, run_id, namespace_id, workflow_id, start, state FROM runs
WHERE run_id = %(run_id)s AND namespace_id = %(namespace_id)s AND workflow_id = %(workflow_id)s
UNION ALL
SELECT kind, 0, key, NULL, NULL, NULL, data FROM items WHERE run_id = %(run_id)s
ORDER BY 1

-- name: load_current
-- The current run of a workflow id and its items in one snapshot: the run's row first.
WITH current AS (
    SELECT run_id FROM current_runs
    WHERE namespace_id = %(namespace_id)s AND workflow_id = %(workflow_id)s
)
SELECT 0, version, run_id, namespace_id, workflow_id, start, state
FROM runs JOIN current USING (run_id)
UNION ALL
SELECT kind, 0, key, NULL, NULL, NULL, data FROM items JOIN current USING (run_id)
ORDER BY 1

-- name: read_history
-- Batches of a run, ascending.
SELECT first_event_id, last_event_id, data FROM history
WHERE run_id = %(run_id)s
  AND first_event_id >= COALESCE((
        SELECT MAX(first_event_id) FROM history
        WHERE run_id = %(run_id)s AND first_event_id <= %(first)s
    ), 0)
  AND first_event_id < %(end)s AND last_event_id >= %(first)s
  AND EXISTS (
        SELECT 1 FROM runs WHERE run_id = %(run_id)s
          AND namespace_id = %(namespace_id)s AND workflow_id = %(workflow_id)s
    )
ORDER BY first_event_id LIMIT %(limit)s

-- name: read_history_reverse
-- Last batches of a run, descending.
SELECT first_event_id, last_event_id, data FROM history
WHERE run_id = %(run_id)s AND first_event_id < %(end)s
  AND EXISTS (
        SELECT 1 FROM runs WHERE run_id = %(run_id)s
          AND namespace_id = %(namespace_id)s AND workflow_id = %(workflow_id)s
    )
ORDER BY first_event_id DESC LIMIT %(limit)s

-- name: read_queue
-- Tasks of one queue after a key: the queue, the key's own parts, limit.
SELECT queue_namespace_id, queue_name, queue_type, queue_partition,
    pinned_version, priority, fairness_key, task_id, slot, namespace_id, workflow_id, run_id,
    scheduled_event_id, attempt, scheduled_time, expiry, sticky
FROM tasks
WHERE queue_namespace_id = %s AND queue_name = %s AND queue_type = %s AND queue_partition = %s
  AND (pinned_version, priority, fairness_key, task_id) > (%s, %s, %s, %s)
ORDER BY pinned_version, priority, fairness_key, task_id LIMIT %s

-- name: read_tasks
-- Tasks of a range of slots after a key: the key's parts, slots, limit.
SELECT queue_namespace_id, queue_name, queue_type, queue_partition,
    pinned_version, priority, fairness_key, task_id, slot, namespace_id, workflow_id, run_id,
    scheduled_event_id, attempt, scheduled_time, expiry, sticky
FROM tasks
WHERE (queue_namespace_id, queue_name, queue_type, queue_partition,
       pinned_version, priority, fairness_key, task_id) > (%s, %s, %s, %s, %s, %s, %s, %s)
  AND slot BETWEEN %s AND %s
ORDER BY queue_namespace_id, queue_name, queue_type, queue_partition,
    pinned_version, priority, fairness_key, task_id LIMIT %s

-- name: read_timers
-- Timers after a row, due before a time: the row's parts, due, slots, limit.
SELECT due, slot, namespace_id, workflow_id, run_id FROM timers
WHERE (due, slot, namespace_id, workflow_id, run_id) > (%s, %s, %s, %s, %s)
  AND due < %s AND slot BETWEEN %s AND %s
ORDER BY due, slot, namespace_id, workflow_id, run_id LIMIT %s

-- name: list_workflows
-- Runs of a namespace after a key, newest first, by a filter.
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values::text
FROM visibility
WHERE namespace_id = %s AND (close_order, start_time, run_id) < (%s, %s, %s) AND /*filter*/
ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT %s

-- name: list_all_workflows
-- Runs of a namespace from the first one, newest first, by a filter.
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values::text
FROM visibility
WHERE namespace_id = %s AND /*filter*/
ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT %s

-- name: count_workflows
-- Number of runs by a filter.
SELECT COUNT(*) FROM visibility WHERE namespace_id = %s AND /*filter*/

-- name: count_workflows_by_status
-- Number of runs by execution status and a filter.
SELECT status, COUNT(*) FROM visibility WHERE namespace_id = %s AND /*filter*/ GROUP BY status

-- name: create_namespace
-- A namespace, unless its name or id is taken.
INSERT INTO namespaces (id, name, version, data) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING

-- name: update_namespace
-- A namespace's next version, unless it is not next.
UPDATE namespaces SET name = %s, version = %s, data = %s WHERE id = %s AND version = %s

-- name: list_namespaces
-- All namespaces.
SELECT id, name, version, data FROM namespaces ORDER BY name

-- name: get_document
-- A document.
SELECT version, data FROM documents WHERE name = %s

-- name: create_document
-- A document's first version, unless there is one.
INSERT INTO documents (version, data, name) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING

-- name: update_document
-- A document's next version, unless it is not next.
UPDATE documents SET version = %s, data = %s WHERE name = %s AND version = %s
