
/*
 * The Lua scripts that run in Redis (DESIGN 5): sources, and what each takes
 * and returns.  Module, worker and tools load them with SCRIPT LOAD on each
 * connect and call them by EVALSHA; NOSCRIPT means: load again.
 *
 * All lists of kinds are "screen,camera"; all times ms of Redis TIME.
 */


#ifndef EXAM_SCRIPT_H_INCLUDED
#define EXAM_SCRIPT_H_INCLUDED


typedef enum {

    /*
     * KEYS exam:loaded exam:{E} flags roster sessions stored seen changes
     * ARGV student code_sha256_hex sid node ip min_gen takeover|deny
     *      offline_after_ms login_early_ms kinds
     * min_gen: the lowest generation allowed, what the node knows + 1 or 0.
     * -> array of strings: "ok" gen name seat title state starts_at ends_at
     *    pause_ms paused_at version extra_s flags_bits replaced_sid now_ms
     *    stored_csv      (this session's: -1 for each kind)
     * or "err" code      (order of checks: DESIGN 5)
     */
    EXAM_SCRIPT_LOGIN = 0,

    /*
     * KEYS exam:loaded exam:{E} sessions seg stored flags changes
     * ARGV student sid gen node reason kinds
     * Marks the session ended unless a higher gen has taken over.
     * -> "ok" ended state starts_at ends_at pause_ms paused_at extra_s
     *    flags_bits stored_csv ("-": null), then pairs field value: this
     *    session's ledger of these kinds above what stored_csv covers
     * or "err" "roster_loading" | "not_found"
     */
    EXAM_SCRIPT_LOGOUT,

    /*
     * KEYS exam:loaded exam:{E} flags sessions seen state stored changes
     * ARGV node kinds rows     (rows: exam_flush_row_t, lines; may be empty)
     * -> "EMPTY" | "GONE" | a text: the exam's line, then a line a row
     */
    EXAM_SCRIPT_FLUSH,

    /*
     * KEYS seg stored
     * ARGV student, then eight a row: sid kind n state node upload bytes sha256
     * Raises states (receiving < lost < received < stored), never lowers them;
     * refused holds for one upload: it replaces that upload's own state below
     * stored, and any other upload replaces it.  Then advances `stored` of each
     * (sid, kind) over stored and lost numbers.  Of lost and refused the member
     * sha256 may go on with a space and the reason.
     * receiving is written by the first upload of a number that is not yet
     * received: the answer names the upload that stands.  State gone takes that
     * back, if it still stands by this upload; a number that was refused before
     * is refused again.
     * Keeps of stored: `student:bytes`, the sum of all received and stored
     * numbers; `student:sid:file`, the number of the next attachment.
     * Keeps the field `student:sid:resend` of stored: the lowest refused
     * numbers as `kind:n,kind:n`, EXAM_RESEND_MAX at most, absent without any.
     * -> array, one string a row: the value that stands now without a reason,
     *    a space, and the new `stored` number of its (sid, kind); "-" for null
     *    and kind "file"; "none - - - -" is no value
     */
    EXAM_SCRIPT_SETTLE,

    EXAM_SCRIPT_MAX
} exam_script_e;


typedef struct {
    const char  *name;
    const char  *source;            /* NUL-terminated Lua */
    unsigned     keys;
} exam_script_t;


const exam_script_t *exam_script(exam_script_e which);


#endif /* EXAM_SCRIPT_H_INCLUDED */
