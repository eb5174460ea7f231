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
INSERT INTO perdure_schema (id, version, oldest_compatible) VALUES (1, %(v)s, %(o)s)
ON CONFLICT (id) DO UPDATE SET version = %(v)s, oldest_compatible = %(o)s

-- name: lock_schema
-- One server at a time changes the schema.
SELECT pg_advisory_xact_lock(5783416152331601234)

-- name: allow_long_steps
-- A step, and waiting for somebody else's, may take long.
SELECT set_config('statement_timeout', '0', true)

-- name: give_up_on_locked_tables
-- Everybody else would wait behind a step that waits for a table.
SELECT set_config('lock_timeout', '5s', true)

-- name: lock_nodes
-- Lets no node join or renew until the transaction ends.
LOCK TABLE nodes IN SHARE MODE

-- name: nodes_of_older_formats
-- Live nodes that do not read a format: name, release.
SELECT name, version FROM nodes
WHERE renewed + lease >= perdure_now() AND format < %s ORDER BY name

-- name: read_sizes
-- What tables take with their partitions, indexes and large values, the largest first.
SELECT tables.relname::text, SUM(pg_total_relation_size(part.oid))::bigint AS bytes,
    SUM(GREATEST(part.reltuples, 0))::bigint
FROM pg_class AS tables
LEFT JOIN pg_inherits ON inhparent = tables.oid
JOIN pg_class AS part ON part.oid = COALESCE(inhrelid, tables.oid)
WHERE tables.relkind IN ('r', 'p') AND NOT tables.relispartition
  AND tables.relnamespace = (
        SELECT relnamespace FROM pg_class WHERE oid = to_regclass('perdure_schema')
    )
GROUP BY tables.relname ORDER BY bytes DESC, tables.relname

-- name: lock_takeovers
-- One takeover of shards at a time.
SELECT pg_advisory_xact_lock(5783416152331601235)

-- name: inspect
-- What decides whether this database may be used.
SELECT current_setting('server_encoding'), current_setting('server_version_num')::int,
    pg_is_in_recovery()

-- name: configure_session
-- Makes the server give up what nobody waits for any more, and plan a statement once: planning
-- for divided tables costs more than running. A plan that was made while a table was small must
-- not read the whole of it when it is large; where it is read all the same, its price for that
-- makes the plan look worth compiling, which takes longer than any statement here. Milliseconds,
-- twice.
SELECT set_config('statement_timeout', %s, false),
    set_config('idle_in_transaction_session_timeout', %s, false),
    set_config('plan_cache_mode', 'force_generic_plan', false),
    set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false)

-- name: configure_commits
-- Makes commits durable whatever the server's default, and rows be found by their keys.
SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),
    set_config('enable_bitmapscan', 'off', false),
    set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false)

-- name: configure_reads
-- Makes reads go by indexes alone: plans that last must not be made for how little there was once.
SELECT set_config('enable_bitmapscan', 'off', false), set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false)

-- name: create_store
-- Names a new store.
INSERT INTO perdure_store (id, cluster_id, incarnation) VALUES (1, %s, %s) ON CONFLICT DO NOTHING

-- name: read_store
-- The store's names.
SELECT cluster_id, incarnation FROM perdure_store

-- name: lock_shards
-- Locks the shards that share a slot with a range: last slot, first slot. Behind transactions that
-- hold them, and in their order, as those do.
SELECT 1 FROM shards WHERE first_slot <= %s AND last_slot >= %s ORDER BY first_slot FOR UPDATE

-- name: drop_shards
-- Removes the shards that share a slot with a range: last slot, first slot.
DELETE FROM shards WHERE first_slot <= %s AND last_slot >= %s

-- name: insert_shard
-- Enters a shard with a new epoch: slots, owner.
INSERT INTO shards (first_slot, last_slot, owner, epoch)
VALUES (%s, %s, %s, nextval('shard_epochs')) RETURNING first_slot, last_slot, owner, epoch

-- name: create_shards
-- Divides all slots, unless they are divided already: first slots, last slots.
INSERT INTO shards (first_slot, last_slot, owner, epoch)
SELECT first_slot, last_slot, '', nextval('shard_epochs')
FROM unnest(%b::int[], %b::int[]) AS shard (first_slot, last_slot)
WHERE NOT EXISTS (SELECT 1 FROM shards)

-- name: take_shards
-- Gives an owner those shards that still have the epochs named: epochs, owner. Waits behind
-- transactions that hold them, in their order.
WITH held AS MATERIALIZED (
    SELECT first_slot FROM shards WHERE epoch = ANY (%b::bigint[]) ORDER BY first_slot FOR UPDATE
)
UPDATE shards SET owner = %b, epoch = nextval('shard_epochs')
FROM held WHERE shards.first_slot = held.first_slot
RETURNING shards.first_slot, shards.last_slot, shards.owner, shards.epoch

-- name: release_shard
-- Makes a shard nobody's, unless its epoch is another now.
UPDATE shards SET owner = '' WHERE epoch = %s

-- name: disown_shards
-- Makes a node's shards nobody's.
WITH held AS MATERIALIZED (
    SELECT first_slot FROM shards WHERE owner = %s ORDER BY first_slot FOR UPDATE
)
UPDATE shards SET owner = '' FROM held WHERE shards.first_slot = held.first_slot

-- name: register_node
-- Enters a node, unless a live one has its name: returns the row that has the name then.
INSERT INTO nodes (
    name, id, roles, address, version, format, state, lease, started, renewed
)
SELECT %s, %s, %s, %s, %s, %s, %s, %s, now, now FROM (SELECT perdure_now() AS now OFFSET 0) AS clock
ON CONFLICT (name) DO UPDATE SET
    (id, roles, address, version, format, state, lease, started, renewed) = (
        SELECT excluded.id, excluded.roles, excluded.address, excluded.version, excluded.format,
            excluded.state, excluded.lease, excluded.started, excluded.renewed
        WHERE nodes.renewed + nodes.lease < excluded.renewed
        UNION ALL
        SELECT nodes.id, nodes.roles, nodes.address, nodes.version, nodes.format,
            nodes.state, nodes.lease, nodes.started, nodes.renewed
        WHERE nodes.renewed + nodes.lease >= excluded.renewed
    )
RETURNING id, name, roles, address, version, format, state, lease, started, renewed

-- name: renew_node
-- Says that a node is alive, and reads the cluster as it is then: state, id, id.
WITH clock AS MATERIALIZED (SELECT perdure_now() AS now),
    renewed AS (
        UPDATE nodes SET renewed = clock.now, state = %s FROM clock WHERE nodes.id = %s
        RETURNING nodes.*
    ),
    present AS (SELECT * FROM renewed UNION ALL SELECT * FROM nodes WHERE id <> %s)
SELECT clock.now, (
        SELECT json_agg(json_build_array(
            id, name, roles, address, version, format, state, lease, started, renewed
        ) ORDER BY name, id) FROM present
    ), (
        SELECT json_agg(json_build_array(first_slot, last_slot, owner, epoch) ORDER BY first_slot)
        FROM shards
    )
FROM clock WHERE EXISTS (SELECT 1 FROM renewed)

-- name: read_cluster
-- The time, the nodes and the shards at one moment.
SELECT perdure_now(), (
        SELECT json_agg(json_build_array(
            id, name, roles, address, version, format, state, lease, started, renewed
        ) ORDER BY name, id) FROM nodes
    ), (
        SELECT json_agg(json_build_array(first_slot, last_slot, owner, epoch) ORDER BY first_slot)
        FROM shards
    )

-- name: remove_node
-- Removes a node.
DELETE FROM nodes WHERE id = %s

-- name: remove_expired_nodes
-- Removes nodes whose lease ran out longer ago than that.
DELETE FROM nodes WHERE renewed + lease < perdure_now() - %s

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
INSERT INTO current_runs (slot, namespace_id, workflow_id, run_id)
SELECT * FROM unnest(%b::int[], %b::text[], %b::text[], %b::text[])

-- name: update_current
-- Next current runs of workflow ids; ends the transaction unless the expected ones are current.
WITH written AS (
    UPDATE current_runs AS stored SET run_id = next.run_id
    FROM unnest(%b::int[], %b::text[], %b::text[], %b::text[], %b::text[])
        AS next (slot, namespace_id, workflow_id, expected, run_id)
    WHERE stored.slot = next.slot AND stored.namespace_id = next.namespace_id
      AND stored.workflow_id = next.workflow_id AND stored.run_id = next.expected
    RETURNING 1
)
SELECT perdure_expect('current', COUNT(*), %b) FROM written

-- name: insert_runs
-- New runs.
INSERT INTO runs (slot, run_id, namespace_id, workflow_id, version, start, state)
SELECT * FROM unnest(
    %b::int[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bytea[], %b::bytea[]
)

-- name: update_runs
-- New states of runs; ends the transaction unless all have the expected versions.
WITH written AS (
    UPDATE runs AS stored SET version = next.version, state = next.state
    FROM unnest(%b::int[], %b::text[], %b::bigint[], %b::bigint[], %b::bytea[])
        AS next (slot, run_id, expected, version, state)
    WHERE stored.slot = next.slot AND stored.run_id = next.run_id
      AND stored.version = next.expected
    RETURNING 1
)
SELECT perdure_expect('version', COUNT(*), %b) FROM written

-- name: insert_history
-- History batches.
INSERT INTO history (slot, run_id, first_event_id, last_event_id, data)
SELECT * FROM unnest(%b::int[], %b::text[], %b::int[], %b::int[], %b::bytea[])

-- name: put_items
-- Pending items.
INSERT INTO items (slot, run_id, kind, key, data)
SELECT * FROM unnest(%b::int[], %b::text[], %b::smallint[], %b::text[], %b::bytea[])
ON CONFLICT (slot, run_id, kind, key) DO UPDATE SET data = excluded.data

-- name: delete_items
-- Removes pending items.
DELETE FROM items USING unnest(%b::int[], %b::text[], %b::smallint[], %b::text[])
    AS gone (slot, run_id, kind, key)
WHERE items.slot = gone.slot AND items.run_id = gone.run_id AND items.kind = gone.kind
  AND items.key = gone.key

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

-- name: delete_messages
-- Removes messages that were delivered.
DELETE FROM messages USING unnest(%b::bigint[], %b::int[], %b::text[]) AS gone (due, slot, id)
WHERE messages.due = gone.due AND messages.slot = gone.slot AND messages.id = gone.id

-- name: insert_messages
-- Messages to other workflows.
INSERT INTO messages (due, slot, id, namespace_id, workflow_id, run_id, data)
SELECT * FROM unnest(
    %b::bigint[], %b::int[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bytea[]
)

-- name: insert_receipts
-- Proof of messages that were taken in.
INSERT INTO receipts (slot, namespace_id, workflow_id, request_id, expiry, data)
SELECT * FROM unnest(
    %b::int[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bytea[]
)

-- name: load_receipt
-- What a receipt holds.
SELECT data FROM receipts
WHERE slot = %s AND namespace_id = %s AND workflow_id = %s AND request_id = %s

-- name: delete_expired_receipts
-- Removes receipts of a range of slots that expired before a time, the oldest first: a bounded lot.
DELETE FROM receipts USING (
    SELECT slot, namespace_id, workflow_id, request_id FROM receipts
    WHERE slot BETWEEN %s AND %s AND expiry < %s ORDER BY expiry, slot LIMIT %s
) AS gone
WHERE receipts.slot = gone.slot AND receipts.namespace_id = gone.namespace_id
  AND receipts.workflow_id = gone.workflow_id AND receipts.request_id = gone.request_id

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
    DELETE FROM runs USING unnest(%b::int[], %b::text[], %b::bigint[])
        AS gone (slot, run_id, expected)
    WHERE runs.slot = gone.slot AND runs.run_id = gone.run_id AND runs.version = gone.expected
    RETURNING 1
)
SELECT perdure_expect('version', COUNT(*), %b) FROM written

-- name: delete_rows_of_runs
-- Removes what else there is of runs.
WITH gone AS (SELECT * FROM unnest(%b::int[], %b::text[]) AS gone (slot, run_id)),
    history_gone AS (
        DELETE FROM history USING gone
        WHERE history.slot = gone.slot AND history.run_id = gone.run_id
    ),
    items_gone AS (
        DELETE FROM items USING gone WHERE items.slot = gone.slot AND items.run_id = gone.run_id
    ),
    visibility_gone AS (DELETE FROM visibility USING gone WHERE visibility.run_id = gone.run_id)
SELECT 1

-- name: delete_current
-- Removes current runs that are these.
DELETE FROM current_runs USING unnest(%b::int[], %b::text[], %b::text[], %b::text[])
    AS gone (slot, namespace_id, workflow_id, run_id)
WHERE current_runs.slot = gone.slot AND current_runs.namespace_id = gone.namespace_id
  AND current_runs.workflow_id = gone.workflow_id AND current_runs.run_id = gone.run_id

-- name: load_run
-- A run and its items in one snapshot: the run's row first.
SELECT 0, version, run_id, namespace_id, workflow_id, start, state FROM runs
WHERE slot = %(slot)s AND run_id = %(run_id)s
  AND namespace_id = %(namespace_id)s AND workflow_id = %(workflow_id)s
UNION ALL
SELECT kind, 0, key, NULL, NULL, NULL, data FROM items
WHERE slot = %(slot)s AND run_id = %(run_id)s
ORDER BY 1

-- name: load_current
-- The current run of a workflow id and its items in one snapshot: the run's row first.
WITH current AS (
    SELECT run_id FROM current_runs
    WHERE slot = %(slot)s AND namespace_id = %(namespace_id)s AND workflow_id = %(workflow_id)s
)
SELECT 0, version, run_id, namespace_id, workflow_id, start, state
FROM runs JOIN current USING (run_id) WHERE runs.slot = %(slot)s
UNION ALL
SELECT kind, 0, key, NULL, NULL, NULL, data
FROM items JOIN current USING (run_id) WHERE items.slot = %(slot)s
ORDER BY 1

-- name: read_history
-- Batches of a run, ascending.
SELECT first_event_id, last_event_id, data FROM history
WHERE slot = %(slot)s AND run_id = %(run_id)s
  AND first_event_id >= COALESCE((
        SELECT MAX(first_event_id) FROM history
        WHERE slot = %(slot)s AND run_id = %(run_id)s AND first_event_id <= %(first)s
    ), 0)
  AND first_event_id < %(end)s AND last_event_id >= %(first)s
  AND EXISTS (
        SELECT 1 FROM runs WHERE slot = %(slot)s AND run_id = %(run_id)s
          AND namespace_id = %(namespace_id)s AND workflow_id = %(workflow_id)s
    )
ORDER BY first_event_id LIMIT %(limit)s

-- name: read_history_reverse
-- Last batches of a run, descending.
SELECT first_event_id, last_event_id, data FROM history
WHERE slot = %(slot)s AND run_id = %(run_id)s AND first_event_id < %(end)s
  AND EXISTS (
        SELECT 1 FROM runs WHERE slot = %(slot)s AND run_id = %(run_id)s
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

-- name: next_partition
-- The first partition of a queue after a given one that has tasks: the queue.
SELECT queue_partition FROM tasks
WHERE queue_namespace_id = %s AND queue_name = %s AND queue_type = %s
  AND queue_partition > %s
ORDER BY queue_partition LIMIT 1

-- name: read_tasks
-- Tasks of a range of slots after a task, whatever their queue: its slot, its id, the rest of its
-- key, slots, limit.
SELECT queue_namespace_id, queue_name, queue_type, queue_partition,
    pinned_version, priority, fairness_key, task_id, slot, namespace_id, workflow_id, run_id,
    scheduled_event_id, attempt, scheduled_time, expiry, sticky
FROM tasks
WHERE (slot, task_id, queue_namespace_id, queue_name, queue_type, queue_partition,
       pinned_version, priority, fairness_key) > (%s, %s, %s, %s, %s, %s, %s, %s, %s)
  AND slot BETWEEN %s AND %s
ORDER BY slot, task_id, queue_namespace_id, queue_name, queue_type, queue_partition,
    pinned_version, priority, fairness_key LIMIT %s

-- name: read_timers
-- Timers after a row, due before a time: the row's parts, due, slots, limit.
SELECT due, slot, namespace_id, workflow_id, run_id FROM timers
WHERE (due, slot, namespace_id, workflow_id, run_id) > (%s, %s, %s, %s, %s)
  AND due < %s AND slot BETWEEN %s AND %s
ORDER BY due, slot, namespace_id, workflow_id, run_id LIMIT %s

-- name: read_messages
-- Messages after a key, due before a time: the key's parts, due, slots, limit.
SELECT due, slot, id, namespace_id, workflow_id, run_id, data FROM messages
WHERE (due, slot, id) > (%s, %s, %s) AND due < %s AND slot BETWEEN %s AND %s
ORDER BY due, slot, id LIMIT %s

-- name: walk_boundary
-- The last run of those that a listing looks at first.
SELECT close_order, start_time, run_id FROM /*runs*/
WHERE /*range*/ ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT 1 OFFSET /*offset*/

-- name: walk
-- Runs in the listing's order, by a filter. OFFSET 0 keeps the filter out of the walk, which goes
-- by the one index that has the order.
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values::text
FROM (
    SELECT * FROM /*runs*/ WHERE /*range*/
    ORDER BY close_order DESC, start_time DESC, run_id DESC OFFSET 0
) AS walked
WHERE /*filter*/ LIMIT /*limit*/

-- name: list_by_keys
-- The first runs, in the listing's order, of an index that has its keys.
WITH page AS MATERIALIZED (
    SELECT run_id FROM (
        SELECT run_id, close_order, start_time FROM /*source*/ /*newest*/ OFFSET 0
    ) AS found WHERE /*after*/
    ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT /*limit*/
)
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values::text
FROM page JOIN visibility USING (run_id)
ORDER BY close_order DESC, start_time DESC, run_id DESC

-- name: first_by_keys
-- The position of the first run, in the listing's order, of those that such an index finds.
SELECT close_order, start_time, run_id FROM (
    SELECT run_id, close_order, start_time FROM /*source*/ /*newest*/ OFFSET 0
) AS found WHERE /*after*/ ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT 1

-- name: list_by_runs
-- The first runs, in the listing's order, of those that an index finds, by a filter.
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values::text
FROM (SELECT * FROM /*source*/ OFFSET 0) AS found
WHERE /*after*/ AND /*filter*/
ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT /*limit*/

-- name: list_by_entries
-- The first runs, in the listing's order, of those that entries find, by a filter.
WITH entry AS MATERIALIZED (SELECT DISTINCT run_id FROM /*source*/)
SELECT run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, memo, search_attributes,
    search_values::text
FROM entry JOIN visibility USING (run_id)
WHERE /*after*/ AND /*filter*/
ORDER BY close_order DESC, start_time DESC, run_id DESC LIMIT /*limit*/

-- name: probe
-- How many an index finds, up to a limit.
SELECT COUNT(*) FROM (SELECT 1 FROM /*source*/ LIMIT /*limit*/) AS found

-- name: count_source
-- How many an index finds.
SELECT COUNT(*) FROM /*source*/

-- name: count_distinct_entries
-- How many runs entries find.
SELECT COUNT(DISTINCT run_id) FROM /*source*/

-- name: count_runs
-- Number of runs by a filter.
SELECT /*group*/, COUNT(*) FROM (SELECT * FROM /*source*/ OFFSET 0) AS found
WHERE /*filter*/ /*grouping*/

-- name: count_by_entries
-- Number of runs that entries find, by a filter.
WITH entry AS MATERIALIZED (SELECT DISTINCT run_id FROM /*source*/)
SELECT /*group*/, COUNT(*) FROM entry JOIN visibility USING (run_id)
WHERE /*filter*/ /*grouping*/

-- name: count_counters
-- Number of runs by a filter of what counters have.
SELECT /*group*/, COALESCE(SUM(count), 0)::bigint FROM visibility_counts
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

-- name: fold_counters
-- Adds up the shares that no commit is writing, and forgets what an earlier time came to nothing.
WITH folding AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(7092203) AS alone),
    gone AS (
        DELETE FROM visibility_counts WHERE (SELECT alone FROM folding) AND ctid = ANY (ARRAY(
            SELECT ctid FROM visibility_counts WHERE share <> 0 OR count = 0 FOR UPDATE SKIP LOCKED
        ))
        RETURNING namespace_id, namespace_division, workflow_type, task_queue, status, count
    )
INSERT INTO visibility_counts AS kept (
    namespace_id, namespace_division, workflow_type, task_queue, status, share, count
)
SELECT namespace_id, namespace_division, workflow_type, task_queue, status, 0, sum(count)
FROM gone GROUP BY 1, 2, 3, 4, 5 HAVING sum(count) <> 0
ON CONFLICT (namespace_id, namespace_division, workflow_type, task_queue, status, share)
    DO UPDATE SET count = kept.count + excluded.count

-- name: create_namespace
-- A namespace, unless its name or id is taken.
INSERT INTO namespaces (id, name, version, data) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING

-- name: update_namespace
-- A namespace's next version, unless it is not next.
UPDATE namespaces SET name = %s, version = %s, data = %s WHERE id = %s AND version = %s

-- name: delete_namespace
-- Removes a namespace, if it still has the expected version.
DELETE FROM namespaces WHERE id = %s AND version = %s

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
