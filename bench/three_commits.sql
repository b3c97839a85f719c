-- One job of Longrun's shape as three transactions: accept, start, finish, each with its event.
WITH accepted AS (
    INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, input, max_attempts)
    VALUES (uuidv7(), 'echo', 'default', now(), 'PENDING', true, now(), '{"hello": "world"}', 3)
    RETURNING id, created_at
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, 1, created_at, 0, 'state', '{"status": "PENDING"}' FROM accepted
)
SELECT id FROM accepted \gset
WITH claimed AS (
    UPDATE jobs SET
        status = 'RUNNING', ready = false, fence = fence + 1, attempt = attempt + 1, last_seq = last_seq + 1,
        worker_id = '00000000-0000-0000-0000-000000000000', slot = 0, started_at = now()
    WHERE id = :id AND status = 'PENDING'
    RETURNING id, last_seq, attempt
)
INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
SELECT id, last_seq, now(), attempt, 'state', '{"status": "RUNNING"}' FROM claimed;
WITH finished AS (
    UPDATE jobs SET
        status = 'SUCCESS', result = '{"hello": "world"}', last_seq = last_seq + 1, worker_id = NULL, slot = NULL,
        finished_at = now()
    WHERE id = :id AND status = 'RUNNING'
    RETURNING id, last_seq, attempt
)
INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
SELECT id, last_seq, now(), attempt, 'state', '{"status": "SUCCESS"}' FROM finished;
