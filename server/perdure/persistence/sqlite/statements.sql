-- name: create_store
-- Names a new store.
INSERT INTO store (id, cluster_id, incarnation, last_epoch) VALUES (1, ?, ?, 0)

-- name: read_store
-- The store's names and the last epoch.
SELECT cluster_id, incarnation, last_epoch FROM store

-- name: read_shards
-- All shards.
SELECT first_slot, last_slot, owner, epoch FROM shards ORDER BY first_slot

-- name: read_cluster
-- Nodes by name, then shards by first slot, in one snapshot.
SELECT 0, name, id, roles, address, version, format_version, state, lease, started, renewed
FROM nodes
UNION ALL
SELECT 1, first_slot, last_slot, owner, epoch, NULL, NULL, NULL, NULL, NULL, NULL FROM shards
ORDER BY 1, 2, 3

-- name: insert_node
-- Enters a node.
INSERT INTO nodes (
    id, name, roles, address, version, format_version, state, lease, started, renewed
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: renew_node
-- What a node says of itself, and when.
UPDATE nodes SET state = ?, renewed = ? WHERE id = ?

-- name: delete_node
-- Removes a node.
DELETE FROM nodes WHERE id = ?

-- name: disown_shards
-- Makes an owner's shards nobody's.
UPDATE shards SET owner = '' WHERE owner = ?

-- name: count_shards
-- How many shards there are.
SELECT COUNT(*) FROM shards

-- name: next_epoch
-- Draws the next epoch of the store-wide sequence.
UPDATE store SET last_epoch = last_epoch + 1 RETURNING last_epoch

-- name: drop_shards
-- Removes shards that share a slot with a range: last slot, first slot.
DELETE FROM shards WHERE first_slot <= ? AND last_slot >= ?

-- name: insert_shard
-- Enters a shard.
INSERT INTO shards (first_slot, last_slot, owner, epoch) VALUES (?, ?, ?, ?)

-- name: take_shard
-- A shard's new owner and epoch, if it still has the epoch named.
UPDATE shards SET owner = ?, epoch = ? WHERE epoch = ?

-- name: release_shard
-- Makes a shard nobody's, if it still has the epoch named.
UPDATE shards SET owner = '' WHERE epoch = ?

-- name: find_run
-- A run's number and version.
SELECT number, version FROM runs WHERE run_id = ?

-- name: last_run_number
-- The highest number of a run.
SELECT COALESCE(MAX(number), 0) FROM runs

-- name: find_current
-- A workflow id's current run.
SELECT run_id FROM current_runs WHERE namespace_id = ? AND workflow_id = ?

-- name: insert_run
-- A new run.
INSERT INTO runs (number, run_id, namespace_id, workflow_id, version, start, state)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: update_run
-- A run's new state, if it still has the expected version.
UPDATE runs SET version = ?, state = ? WHERE number = ? AND version = ?

-- name: delete_run
-- Removes a run, if it still has the expected version.
DELETE FROM runs WHERE number = ? AND version = ?

-- name: delete_history
-- Removes positions from a run's first to its last.
DELETE FROM history WHERE position BETWEEN ? AND ?

-- name: delete_items
-- Removes a run's items.
DELETE FROM items WHERE run_number = ?

-- name: delete_visibility
-- Removes a run from listings.
DELETE FROM visibility WHERE run_id = ?

-- name: insert_current
-- The first current run of a workflow id.
INSERT INTO current_runs (namespace_id, workflow_id, run_id) VALUES (?, ?, ?)

-- name: update_current
-- A workflow id's next current run, if the expected one is still current.
UPDATE current_runs SET run_id = ? WHERE namespace_id = ? AND workflow_id = ? AND run_id = ?

-- name: delete_current
-- Removes a workflow id's current run, if it is this one.
DELETE FROM current_runs WHERE namespace_id = ? AND workflow_id = ? AND run_id = ?

-- name: insert_history
-- A history batch.
INSERT INTO history (position, last_event_id, data) VALUES (?, ?, ?)

-- name: put_item
-- Writes a pending item.
INSERT OR REPLACE INTO items (run_number, kind, key, data) VALUES (?, ?, ?, ?)

-- name: delete_item
-- Removes a pending item.
DELETE FROM items WHERE run_number = ? AND kind = ? AND key = ?

-- name: put_task
-- Writes a task that waits for a poller.
INSERT OR REPLACE INTO tasks (
    queue_namespace_id, queue_name, queue_type, queue_partition,
    pinned_version, priority, fairness_key, task_id,
    slot, namespace_id, workflow_id, run_id,
    scheduled_event_id, attempt, scheduled_time, expiry, sticky
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: delete_task
-- Removes a task.
DELETE FROM tasks
WHERE queue_namespace_id = ? AND queue_name = ? AND queue_type = ? AND queue_partition = ?
  AND pinned_version = ? AND priority = ? AND fairness_key = ? AND task_id = ?

-- name: put_timer
-- Writes a run's wake-up call.
INSERT OR REPLACE INTO timers (due, slot, namespace_id, workflow_id, run_id)
VALUES (?, ?, ?, ?, ?)

-- name: delete_timer
-- Removes a wake-up call.
DELETE FROM timers
WHERE due = ? AND slot = ? AND namespace_id = ? AND workflow_id = ? AND run_id = ?

-- name: insert_message
-- An undelivered message, which must be the only one of its key.
INSERT INTO messages (due, slot, id, namespace_id, workflow_id, run_id, data)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: delete_message
-- Removes a message.
DELETE FROM messages WHERE due = ? AND slot = ? AND id = ?

-- name: insert_receipt
-- A receipt, which must be the only one of its key.
INSERT INTO receipts (namespace_id, workflow_id, request_id, slot, expiry, data)
VALUES (?, ?, ?, ?, ?, ?)

-- name: delete_expired_receipts
-- Removes the oldest receipts of a range of slots: expired before, slots, limit.
DELETE FROM receipts WHERE (namespace_id, workflow_id, request_id) IN (
    SELECT namespace_id, workflow_id, request_id FROM receipts
    WHERE expiry < ? AND slot BETWEEN ? AND ?
    ORDER BY expiry, slot LIMIT ?
)

-- name: put_visibility
-- Writes what listings see of a run; indexes whose columns stay the same are not touched.
INSERT INTO visibility (
    run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values, close_order
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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

-- name: load_run
-- A run and its items in one snapshot: the run's row first.
SELECT 0, number, version, run_id, namespace_id, workflow_id, start, state
FROM runs WHERE run_id = ?1
UNION ALL
SELECT kind, run_number, 0, key, NULL, NULL, NULL, data
FROM items WHERE run_number = (SELECT number FROM runs WHERE run_id = ?1)

-- name: load_current
-- The current run of a workflow id and its items in one snapshot: the run's row first.
SELECT 0, number, version, runs.run_id, runs.namespace_id, runs.workflow_id, start, state
FROM current_runs JOIN runs USING (run_id)
WHERE current_runs.namespace_id = ?1 AND current_runs.workflow_id = ?2
UNION ALL
SELECT kind, run_number, 0, key, NULL, NULL, NULL, data
FROM items WHERE run_number = (
    SELECT number FROM current_runs JOIN runs USING (run_id)
    WHERE current_runs.namespace_id = ?1 AND current_runs.workflow_id = ?2
)

-- name: read_history
-- Batches of a run, ascending: run, workflow, namespace, first event, end event, limit.
WITH run AS (
    SELECT number << 24 AS base FROM runs
    WHERE run_id = ?1 AND workflow_id = ?2 AND namespace_id = ?3
)
SELECT position & 16777215, last_event_id, data FROM run, history
WHERE position >= COALESCE(
        (SELECT MAX(position) FROM history WHERE position BETWEEN base AND base + ?4), base
    )
  AND position < base + ?5 AND last_event_id >= ?4
ORDER BY position LIMIT ?6

-- name: read_history_reverse
-- Last batches of a run, descending: run, workflow, namespace, end event, limit.
WITH run AS (
    SELECT number << 24 AS base FROM runs
    WHERE run_id = ?1 AND workflow_id = ?2 AND namespace_id = ?3
)
SELECT position & 16777215, last_event_id, data FROM run, history
WHERE position > base AND position < base + ?4
ORDER BY position DESC LIMIT ?5

-- name: read_queue
-- Tasks of one queue after a key: the queue, the key's own parts, limit.
SELECT queue_namespace_id, queue_name, queue_type, queue_partition,
    pinned_version, priority, fairness_key, task_id,
    slot, namespace_id, workflow_id, run_id,
    scheduled_event_id, attempt, scheduled_time, expiry, sticky
FROM tasks
WHERE queue_namespace_id = ? AND queue_name = ? AND queue_type = ? AND queue_partition = ?
  AND (pinned_version, priority, fairness_key, task_id) > (?, ?, ?, ?)
ORDER BY pinned_version, priority, fairness_key, task_id LIMIT ?

-- name: next_partition
-- The first partition of a queue after a given one that has tasks: the queue.
SELECT queue_partition FROM tasks
WHERE queue_namespace_id = ? AND queue_name = ? AND queue_type = ?
  AND queue_partition > ?
ORDER BY queue_partition LIMIT 1

-- name: read_tasks
-- Tasks up to a slot, after a task: its slot and id, last slot, limit.
SELECT queue_namespace_id, queue_name, queue_type, queue_partition,
    pinned_version, priority, fairness_key, task_id,
    slot, namespace_id, workflow_id, run_id,
    scheduled_event_id, attempt, scheduled_time, expiry, sticky
FROM tasks
WHERE (slot, task_id) > (?, ?) AND slot <= ? ORDER BY slot, task_id LIMIT ?

-- name: read_timers
-- Timers after a row, due before a time: the row's parts, due, slots, limit.
SELECT due, slot, namespace_id, workflow_id, run_id FROM timers
WHERE (due, slot, namespace_id, workflow_id, run_id) > (?, ?, ?, ?, ?)
  AND due < ? AND slot BETWEEN ? AND ?
ORDER BY due, slot, namespace_id, workflow_id, run_id LIMIT ?

-- name: read_messages
-- Messages after a key, due before a time: the key, due, slots, limit.
SELECT due, slot, id, namespace_id, workflow_id, run_id, data FROM messages
WHERE (due, slot, id) > (?, ?, ?) AND due < ? AND slot BETWEEN ? AND ?
ORDER BY due, slot, id LIMIT ?

-- name: load_receipt
-- A receipt's data.
SELECT data FROM receipts WHERE namespace_id = ? AND workflow_id = ? AND request_id = ?

-- name: walk_boundary
-- The last run of those that a listing looks at first.
SELECT close_order, start_time, run_id FROM /*runs*/
WHERE /*range*/ ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT 1 OFFSET /*offset*/

-- name: walk
-- Runs in the listing's order, by a filter.
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values
FROM /*runs*/
WHERE /*range*/ AND /*filter*/
ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT /*limit*/

-- name: list_by_keys
-- The first runs, in the listing's order, of an index that has its keys.
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values
FROM (
    SELECT found FROM (
        SELECT number AS found, close_order, start_time, run_id FROM /*source*/ AND /*after*/
        /*newest*/ LIMIT -1 OFFSET 0
    ) ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT /*limit*/
) AS page CROSS JOIN visibility ON visibility.number = page.found
ORDER BY close_order DESC, start_time DESC, run_id DESC

-- name: first_by_keys
-- The position of the first run, in the listing's order, of those that such an index finds.
SELECT close_order, start_time, run_id FROM (
    SELECT close_order, start_time, run_id FROM /*source*/ AND /*after*/ /*newest*/
    LIMIT -1 OFFSET 0
) ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT 1

-- name: list_by_runs
-- The first runs, in the listing's order, of those that an index finds, by a filter.
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values
FROM (
    SELECT number AS found FROM /*source*/ AND /*after*/ AND /*filter*/
    ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT /*limit*/
) AS page CROSS JOIN visibility ON visibility.number = page.found
ORDER BY close_order DESC, start_time DESC, run_id DESC

-- name: list_by_entries
-- The first runs, in the listing's order, of those that entries find, by a filter.
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values
FROM (
    SELECT visibility.number AS found
    FROM (SELECT DISTINCT number FROM /*source*/) AS entry
        CROSS JOIN visibility ON visibility.number = entry.number
    WHERE /*after*/ AND /*filter*/
    ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT /*limit*/
) AS page CROSS JOIN visibility ON visibility.number = page.found
ORDER BY close_order DESC, start_time DESC, run_id DESC

-- name: probe
-- How many an index finds, up to a limit.
SELECT COUNT(*) FROM (SELECT 1 FROM /*source*/ LIMIT /*limit*/)

-- name: count_source
-- How many an index finds.
SELECT COUNT(*) FROM /*source*/

-- name: count_distinct_entries
-- How many runs entries find.
SELECT COUNT(DISTINCT number) FROM /*source*/

-- name: count_runs
-- Number of runs by a filter.
SELECT /*group*/, COUNT(*) FROM /*source*/ AND /*filter*/ /*grouping*/

-- name: count_by_entries
-- Number of runs that entries find, by a filter.
SELECT /*group*/, COUNT(*)
FROM (SELECT DISTINCT number FROM /*source*/) AS entry
    CROSS JOIN visibility ON visibility.number = entry.number
WHERE /*filter*/ /*grouping*/

-- name: count_counters
-- Number of runs by a filter of what counters have.
SELECT /*group*/, COALESCE(SUM(count), 0) FROM visibility_counts
WHERE namespace_id = /*namespace*/ AND /*filter*/ /*grouping*/

-- name: find_times
-- The first and the last of a namespace's times.
SELECT
    (SELECT MIN(/*column*/) FROM visibility WHERE namespace_id = /*namespace*/ AND /*having*/),
    (SELECT MAX(/*column*/) FROM visibility WHERE namespace_id = /*namespace*/ AND /*having*/)

-- name: find_division
-- Whether any run of a namespace belongs to a division.
SELECT 1 FROM visibility_counts
WHERE namespace_id = /*namespace*/ AND namespace_division > '' LIMIT 1

-- name: create_namespace
-- A namespace, unless its name or id is taken.
INSERT OR IGNORE INTO namespaces (id, name, version, data) VALUES (?, ?, ?, ?)

-- name: update_namespace
-- A namespace's next version, unless it is not next or the new name is taken.
UPDATE OR IGNORE namespaces SET name = ?, version = ?, data = ? WHERE id = ? AND version = ?

-- name: delete_namespace
-- Removes a namespace, if it still has the expected version.
DELETE FROM namespaces WHERE id = ? AND version = ?

-- name: list_namespaces
-- All namespaces.
SELECT id, name, version, data FROM namespaces ORDER BY name

-- name: get_document
-- A document.
SELECT version, data FROM documents WHERE name = ?

-- name: create_document
-- A document's first version, unless there is one.
INSERT OR IGNORE INTO documents (version, data, name) VALUES (?, ?, ?)

-- name: update_document
-- A document's next version, unless it is not next.
UPDATE documents SET version = ?, data = ? WHERE name = ? AND version = ?
