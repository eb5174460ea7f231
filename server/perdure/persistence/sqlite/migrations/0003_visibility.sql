-- Search attributes by value, counters of runs, and indexes for what people filter by.

-- The same columns, what is large last: what a listing does not need is not read.
CREATE TABLE visibility_anew (
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
    close_order INTEGER NOT NULL,
    search_values TEXT,
    search_attributes BLOB,
    memo BLOB
);
INSERT INTO visibility_anew
SELECT number, run_id, namespace_id, workflow_id, workflow_type, task_queue, status, start_time,
    execution_time, close_time, history_length, history_size_bytes, state_transition_count,
    parent_workflow_id, parent_run_id, root_workflow_id, root_run_id, close_order,
    search_values, search_attributes, memo
FROM visibility;
DROP TABLE visibility;
ALTER TABLE visibility_anew RENAME TO visibility;

-- Listings without a filter, and every listing's order.
CREATE INDEX visibility_listing ON visibility (namespace_id, close_order, start_time, run_id);

-- Listings of one type, or of one status, in order.
CREATE INDEX visibility_type
    ON visibility (namespace_id, workflow_type, close_order, start_time, run_id);
CREATE INDEX visibility_status
    ON visibility (namespace_id, status, close_order, start_time, run_id);

-- With the keys of the listing's order, so that the first of many are found in the index alone.
CREATE INDEX visibility_start ON visibility (namespace_id, start_time, close_order, run_id);

-- These stay as they are when a run closes.
CREATE INDEX visibility_workflow ON visibility (namespace_id, workflow_id);
CREATE INDEX visibility_parent ON visibility (namespace_id, parent_workflow_id)
    WHERE parent_workflow_id IS NOT NULL;

-- How many runs there are that are alike in what most counts ask for. `namespace_division` is
-- empty, or = and the division; empty text stands for a type or queue that is missing.
CREATE TABLE visibility_counts (
    namespace_id TEXT NOT NULL,
    namespace_division TEXT NOT NULL,
    workflow_type TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    status INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, namespace_division, workflow_type, task_queue, status)
) WITHOUT ROWID;
INSERT INTO visibility_counts
SELECT namespace_id,
    COALESCE('=' || json_extract(search_values, '$."s:TemporalNamespaceDivision"'), ''),
    COALESCE(workflow_type, ''), COALESCE(task_queue, ''), status, COUNT(*)
FROM visibility GROUP BY 1, 2, 3, 4, 5;

-- Every search attribute that a run has set, by value: an entry for each element of a list and each
-- word of a text. Long texts are cut. A run without search attributes has none.
CREATE TABLE visibility_values (
    namespace_id TEXT NOT NULL,
    member TEXT NOT NULL,
    value NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, member, value, number)
) WITHOUT ROWID;
INSERT INTO visibility_values (namespace_id, member, value, number)
SELECT DISTINCT visibility.namespace_id, member.key,
    CASE element.type WHEN 'text' THEN substr(element.value, 1, 300) ELSE element.value END,
    visibility.number
FROM visibility, json_each(visibility.search_values) AS member,
    json_each(visibility.search_values, member.fullkey) AS element;

CREATE TRIGGER visibility_added AFTER INSERT ON visibility BEGIN
    INSERT INTO visibility_counts (
        namespace_id, namespace_division, workflow_type, task_queue, status, count
    ) VALUES (
        NEW.namespace_id,
        COALESCE('=' || json_extract(NEW.search_values, '$."s:TemporalNamespaceDivision"'), ''),
        COALESCE(NEW.workflow_type, ''), COALESCE(NEW.task_queue, ''), NEW.status, 1
    ) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER visibility_removed AFTER DELETE ON visibility BEGIN
    UPDATE visibility_counts SET count = count - 1
    WHERE namespace_id = OLD.namespace_id AND namespace_division =
        COALESCE('=' || json_extract(OLD.search_values, '$."s:TemporalNamespaceDivision"'), '')
      AND workflow_type = COALESCE(OLD.workflow_type, '')
      AND task_queue = COALESCE(OLD.task_queue, '') AND status = OLD.status;
    DELETE FROM visibility_counts
    WHERE namespace_id = OLD.namespace_id AND namespace_division =
        COALESCE('=' || json_extract(OLD.search_values, '$."s:TemporalNamespaceDivision"'), '')
      AND workflow_type = COALESCE(OLD.workflow_type, '')
      AND task_queue = COALESCE(OLD.task_queue, '') AND status = OLD.status AND count = 0;
END;
CREATE TRIGGER visibility_changed AFTER UPDATE ON visibility
WHEN OLD.status <> NEW.status OR OLD.workflow_type IS NOT NEW.workflow_type
    OR OLD.task_queue IS NOT NEW.task_queue OR OLD.search_values IS NOT NEW.search_values
BEGIN
    UPDATE visibility_counts SET count = count - 1
    WHERE namespace_id = OLD.namespace_id AND namespace_division =
        COALESCE('=' || json_extract(OLD.search_values, '$."s:TemporalNamespaceDivision"'), '')
      AND workflow_type = COALESCE(OLD.workflow_type, '')
      AND task_queue = COALESCE(OLD.task_queue, '') AND status = OLD.status;
    DELETE FROM visibility_counts
    WHERE namespace_id = OLD.namespace_id AND namespace_division =
        COALESCE('=' || json_extract(OLD.search_values, '$."s:TemporalNamespaceDivision"'), '')
      AND workflow_type = COALESCE(OLD.workflow_type, '')
      AND task_queue = COALESCE(OLD.task_queue, '') AND status = OLD.status AND count = 0;
    INSERT INTO visibility_counts (
        namespace_id, namespace_division, workflow_type, task_queue, status, count
    ) VALUES (
        NEW.namespace_id,
        COALESCE('=' || json_extract(NEW.search_values, '$."s:TemporalNamespaceDivision"'), ''),
        COALESCE(NEW.workflow_type, ''), COALESCE(NEW.task_queue, ''), NEW.status, 1
    ) ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER visibility_values_added AFTER INSERT ON visibility
WHEN NEW.search_values IS NOT NULL
BEGIN
    INSERT INTO visibility_values (namespace_id, member, value, number)
    SELECT DISTINCT NEW.namespace_id, member.key,
        CASE element.type WHEN 'text' THEN substr(element.value, 1, 300) ELSE element.value END,
        NEW.number
    FROM json_each(NEW.search_values) AS member,
        json_each(NEW.search_values, member.fullkey) AS element;
END;
CREATE TRIGGER visibility_values_removed AFTER DELETE ON visibility
WHEN OLD.search_values IS NOT NULL
BEGIN
    DELETE FROM visibility_values WHERE (namespace_id, member, value, number) IN (
        SELECT OLD.namespace_id, member.key,
            CASE element.type WHEN 'text' THEN substr(element.value, 1, 300)
                ELSE element.value END,
            OLD.number
        FROM json_each(OLD.search_values) AS member,
            json_each(OLD.search_values, member.fullkey) AS element
    );
END;
CREATE TRIGGER visibility_values_changed AFTER UPDATE ON visibility
WHEN OLD.search_values IS NOT NEW.search_values
BEGIN
    DELETE FROM visibility_values WHERE (namespace_id, member, value, number) IN (
        SELECT OLD.namespace_id, member.key,
            CASE element.type WHEN 'text' THEN substr(element.value, 1, 300)
                ELSE element.value END,
            OLD.number
        FROM json_each(OLD.search_values) AS member,
            json_each(OLD.search_values, member.fullkey) AS element
    );
    INSERT INTO visibility_values (namespace_id, member, value, number)
    SELECT DISTINCT NEW.namespace_id, member.key,
        CASE element.type WHEN 'text' THEN substr(element.value, 1, 300) ELSE element.value END,
        NEW.number
    FROM json_each(NEW.search_values) AS member,
        json_each(NEW.search_values, member.fullkey) AS element;
END;
