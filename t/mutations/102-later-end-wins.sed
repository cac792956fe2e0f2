# the order of the records decides why a session ended
# file: backend-worker/worker_journal_rows.c
# test: t/worker/100-journal.t
s/IF(ended_at IS NULL OR VALUES(ended_at) < ended_at "/IF(ended_at IS NULL "/
s/"OR (VALUES(ended_at) = ended_at AND VALUES(ended) < ended), "/", "/
