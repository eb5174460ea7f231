-- kind: expand
--
-- Search attributes by value, counters of runs, and indexes for what people filter by. Triggers
-- keep them, so that nodes of the release before keep them too.

-- Listings of one type, or of one status, in order.
CREATE INDEX visibility_type
    ON visibility (namespace_id, workflow_type, close_order, start_time, run_id);
CREATE INDEX visibility_status
    ON visibility (namespace_id, status, close_order, start_time, run_id);

-- With the keys of the listing's order, so that the first of many are found in the index alone.
CREATE INDEX visibility_start ON visibility (namespace_id, start_time, close_order, run_id);

CREATE INDEX visibility_parent ON visibility (namespace_id, parent_workflow_id)
    WHERE parent_workflow_id IS NOT NULL;

-- How many runs there are that are alike in what most counts ask for: the sum over the shares.
-- Every database process counts in a share of its own, so that commits of different nodes never
-- wait for each other; a share may be below zero. `namespace_division` is empty, or = and the
-- division; empty text stands for a type or queue that is missing.
CREATE TABLE visibility_counts (
    namespace_id text COLLATE "C" NOT NULL,
    namespace_division text COLLATE "C" NOT NULL,
    workflow_type text COLLATE "C" NOT NULL,
    task_queue text COLLATE "C" NOT NULL,
    status int NOT NULL,
    share int NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (namespace_id, namespace_division, workflow_type, task_queue, status, share)
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- Every search attribute that a run has set, by value: an entry for each element of a list and each
-- word of a text. A value is a word or a number. A run without search attributes has none.
CREATE TABLE visibility_values (
    namespace_id text COLLATE "C" NOT NULL,
    member text COLLATE "C" NOT NULL,
    word text COLLATE "C",
    number numeric,
    run_id text COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX visibility_values_word ON visibility_values (namespace_id, member, word, run_id)
    WHERE word IS NOT NULL;
CREATE INDEX visibility_values_number ON visibility_values (namespace_id, member, number, run_id)
    WHERE number IS NOT NULL;

-- The entries of a run. Long texts are cut, since an index has no room for them.
CREATE FUNCTION perdure_values(search_values jsonb)
RETURNS TABLE (member text, word text, number numeric) LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT DISTINCT given.key,
        CASE jsonb_typeof(element) WHEN 'string' THEN left(element #>> '{}', 300) END,
        CASE jsonb_typeof(element) WHEN 'number' THEN (element #>> '{}')::numeric
            WHEN 'boolean' THEN element::boolean::int::numeric END
    FROM jsonb_each(search_values) AS given,
        jsonb_array_elements(
            CASE jsonb_typeof(given.value) WHEN 'array' THEN given.value
                ELSE jsonb_build_array(given.value) END
        ) AS element;
END;

CREATE FUNCTION perdure_division(search_values jsonb) RETURNS text LANGUAGE sql IMMUTABLE
RETURN COALESCE('=' || (search_values ->> 's:TemporalNamespaceDivision'), '');

-- What follows reads what a trigger calls `gone` and `come`: the rows before and after a statement.
CREATE FUNCTION perdure_visibility_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO visibility_counts AS kept (
        namespace_id, namespace_division, workflow_type, task_queue, status, share, count
    )
    SELECT namespace_id, perdure_division(search_values), COALESCE(workflow_type, ''),
        COALESCE(task_queue, ''), status, pg_backend_pid(), count(*)
    FROM come GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (namespace_id, namespace_division, workflow_type, task_queue, status, share)
        DO UPDATE SET count = kept.count + excluded.count;
    INSERT INTO visibility_values (namespace_id, member, word, number, run_id)
    SELECT come.namespace_id, entry.member, entry.word, entry.number, come.run_id
    FROM come, perdure_values(come.search_values) AS entry WHERE come.search_values IS NOT NULL;
    RETURN NULL;
END
$$;

-- Commits find rows by their keys; rows of a trigger have none, so their join must not be a loop.
CREATE FUNCTION perdure_visibility_changed() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = on AS $$
BEGIN
    INSERT INTO visibility_counts AS kept (
        namespace_id, namespace_division, workflow_type, task_queue, status, share, count
    )
    SELECT namespace_id, perdure_division(search_values), COALESCE(workflow_type, ''),
        COALESCE(task_queue, ''), status, pg_backend_pid(), sum(change)
    FROM (
        SELECT namespace_id, search_values, workflow_type, task_queue, status, 1 AS change FROM come
        UNION ALL
        SELECT namespace_id, search_values, workflow_type, task_queue, status, -1 FROM gone
    ) AS changes
    GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (namespace_id, namespace_division, workflow_type, task_queue, status, share)
        DO UPDATE SET count = kept.count + excluded.count;
    IF EXISTS (
        SELECT 1 FROM come JOIN gone USING (run_id)
        WHERE come.search_values IS DISTINCT FROM gone.search_values
    ) THEN
        DELETE FROM visibility_values AS kept
        USING gone JOIN come USING (run_id), perdure_values(gone.search_values) AS entry
        WHERE gone.search_values IS DISTINCT FROM come.search_values
          AND kept.namespace_id = gone.namespace_id AND kept.member = entry.member
          AND kept.word = entry.word AND kept.run_id = gone.run_id;
        DELETE FROM visibility_values AS kept
        USING gone JOIN come USING (run_id), perdure_values(gone.search_values) AS entry
        WHERE gone.search_values IS DISTINCT FROM come.search_values
          AND kept.namespace_id = gone.namespace_id AND kept.member = entry.member
          AND kept.number = entry.number AND kept.run_id = gone.run_id;
        INSERT INTO visibility_values (namespace_id, member, word, number, run_id)
        SELECT come.namespace_id, entry.member, entry.word, entry.number, come.run_id
        FROM come JOIN gone USING (run_id), perdure_values(come.search_values) AS entry
        WHERE gone.search_values IS DISTINCT FROM come.search_values;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION perdure_visibility_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO visibility_counts AS kept (
        namespace_id, namespace_division, workflow_type, task_queue, status, share, count
    )
    SELECT namespace_id, perdure_division(search_values), COALESCE(workflow_type, ''),
        COALESCE(task_queue, ''), status, pg_backend_pid(), -count(*)
    FROM gone GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (namespace_id, namespace_division, workflow_type, task_queue, status, share)
        DO UPDATE SET count = kept.count + excluded.count;
    DELETE FROM visibility_values AS kept
    USING gone, perdure_values(gone.search_values) AS entry
    WHERE kept.namespace_id = gone.namespace_id AND kept.member = entry.member
      AND kept.word = entry.word AND kept.run_id = gone.run_id;
    DELETE FROM visibility_values AS kept
    USING gone, perdure_values(gone.search_values) AS entry
    WHERE kept.namespace_id = gone.namespace_id AND kept.member = entry.member
      AND kept.number = entry.number AND kept.run_id = gone.run_id;
    RETURN NULL;
END
$$;

-- No run is written while what there is is counted.
LOCK TABLE visibility IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO visibility_counts
SELECT namespace_id, perdure_division(search_values), COALESCE(workflow_type, ''),
    COALESCE(task_queue, ''), status, 0, count(*)
FROM visibility GROUP BY 1, 2, 3, 4, 5;
INSERT INTO visibility_values (namespace_id, member, word, number, run_id)
SELECT visibility.namespace_id, entry.member, entry.word, entry.number, visibility.run_id
FROM visibility, perdure_values(visibility.search_values) AS entry
WHERE visibility.search_values IS NOT NULL;

CREATE TRIGGER visibility_added AFTER INSERT ON visibility REFERENCING NEW TABLE AS come
    FOR EACH STATEMENT EXECUTE FUNCTION perdure_visibility_added();
CREATE TRIGGER visibility_changed AFTER UPDATE ON visibility
    REFERENCING OLD TABLE AS gone NEW TABLE AS come
    FOR EACH STATEMENT EXECUTE FUNCTION perdure_visibility_changed();
CREATE TRIGGER visibility_removed AFTER DELETE ON visibility REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION perdure_visibility_removed();
