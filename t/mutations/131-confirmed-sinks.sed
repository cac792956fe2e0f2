# a delivery that was confirmed is sent again
# file: backend-worker/worker_journal_rows.c
# test: t/worker/100-journal.t
s/"state = IF(VALUES(state) + 0 > state + 0, VALUES(state), state), "/"state = VALUES(state), "/
