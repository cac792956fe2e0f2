
/*
 * The list of counters: one place that generates the shared structure, the
 * metrics and their documentation.  Counters are atomics in the zone, written
 * by all worker processes without a lock and never decreased; gauges may be.
 *
 * type (counter | gauge), name, help
 */


#ifndef NGX_HTTP_EXAM_COUNTERS_H_INCLUDED
#define NGX_HTTP_EXAM_COUNTERS_H_INCLUDED


#define NGX_HTTP_EXAM_COUNTERS(X)                                             \
    X(counter, requests_total,      "requests answered by the module")        \
    X(counter, errors_total,        "replies with status 500 or above")       \
    X(counter, refused_total,       "replies with status 400 to 499")         \
    X(counter, heartbeats_total,    "beats with a new seq, limited ones too") \
    X(counter, heartbeats_limited_total, "heartbeats answered with 429")      \
    X(counter, beats_slow_path_total, "bodies that needed the full parser")   \
    X(counter, logins_total,        "successful logins")                      \
    X(counter, logins_refused_total, "logins answered with 401 or 429")       \
    X(counter, logouts_total,       "sessions ended by their candidate")      \
    X(counter, uploads_total,       "uploads acknowledged, each once")        \
    X(counter, uploads_failed_total, "uploads that ended without a 2xx")      \
    X(counter, uploads_created_total, "resumable uploads created")            \
    X(counter, uploads_resumed_total, "bodies that went on with an upload")   \
    X(counter, uploads_taken_over_total, "uploads taken from who had them")   \
    X(counter, uploads_expired_total, "uploads that nobody went on with")     \
    X(counter, upload_bytes_total,  "bytes of acknowledged uploads")          \
    X(counter, shed_total,          "requests refused because of overload")   \
    X(counter, flush_rows_total,    "session rows sent to Redis")             \
    X(counter, flush_errors_total,  "flush calls that Redis did not answer")  \
    X(counter, zone_evictions_total, "sessions evicted from the zone")        \
    X(counter, zone_full_total,     "sessions that found no room")            \
    X(counter, zone_resets_total,   "shards emptied after a crash")           \
    X(counter, doorbell_errors_total, "uploads not announced in Redis")       \
    X(gauge,   active_uploads,      "uploads being received")                 \
    X(gauge,   upload_bytes_in_flight, "bytes of them not yet acknowledged")  \
    X(counter, uploads_evicted_total, "slow uploads that gave their place")   \
    X(counter, upload_waits_total,  "uploads that found all buffers in use")  \
    X(gauge,   upload_bytes_expected, "declared bytes of them, not yet come") \
    X(counter, commands_sent_total, "commands given, once a session")       \
    X(counter, commands_acked_total, "commands acknowledged by candidates")   \
    X(counter, commands_refused_total, "commands that found no room")         \
    X(counter, control_bad_total,   "malformed entries of control streams")   \
    X(counter, ledger_hits_total,   "segment questions the zone answered")    \
    X(counter, ledger_misses_total, "segment questions asked of Redis")       \
    X(counter, events_total,        "events accepted with 202")               \
    X(counter, journal_records_total, "records synced in the journal")        \
    X(counter, journal_bytes_total, "bytes of them")                          \
    X(counter, journal_dropped_total, "records that found no room in memory") \
    X(counter, journal_errors_total, "commits of the journal that failed")


/* name, help: latency histograms, microseconds */

#define NGX_HTTP_EXAM_HISTOGRAMS(X)                                           \
    X(heartbeat, "heartbeat request")                                         \
    X(login,     "login request")                                             \
    X(upload,    "upload request, first byte to acknowledgement")             \
    X(pwrite,    "one write to a part file")                                  \
    X(fdatasync, "the sync of a part file")                                   \
    X(handover,  "finish sequence, last byte to directory sync")              \
    X(journal_sync, "the sync of a journal's commit")


#endif /* NGX_HTTP_EXAM_COUNTERS_H_INCLUDED */
