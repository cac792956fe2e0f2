
/*
 * The side-cars of one student against the rows of that student.  A row is
 * compared by what exam-worker would bind for it, byte for byte, so that what
 * is written here is what was written there.
 *
 * Variants: the side-car's number counts, else that of the row which is there,
 * else the order of arrival, in the numbers that nobody else has.
 */


#include "ctl_rebuild.h"

#include <stdlib.h>


#define CTL_REBUILD_TRIES  3
#define CTL_REBUILD_OWNER  0x06         /* the columns exam, student */

#define CTL_REBUILD_SLOTS_SQL                                                 \
    "SELECT upload_id, session, kind, n, variant, sha256, bytes "             \
    "FROM recordings WHERE exam = ? AND student = ?"

#define CTL_REBUILD_ALL_SQL                                                   \
    "SELECT " EXAM_RECORDING_COLUMNS                                          \
    " FROM recordings WHERE exam = ? AND student = ?"

#define CTL_REBUILD_REMOVE_SQL  "DELETE FROM recordings WHERE upload_id = ?"


/* a row that no side-car speaks of */

typedef struct {
    uint8_t   sid[EXAM_SID_LEN];
    char      kind[EXAM_KIND_MAX + 1];
    uint32_t  n;
    uint32_t  variant;
    int64_t   bytes;
    uint8_t   sha256[EXAM_HASH_LEN];
} ctl_rebuild_slot_t;


typedef struct {
    ctl_rebuild_slot_t  *slots;
    size_t               n;
} ctl_rebuild_slots_t;


static exam_db_e ctl_rebuild_once(ctl_rebuild_t *r, bool *again);
static exam_db_e ctl_rebuild_slots(ctl_rebuild_t *r, ctl_rebuild_slots_t *s);
static void ctl_rebuild_slot(ctl_rebuild_slots_t *s, const exam_stmt_t *stmt);
static int ctl_rebuild_order(const void *a, const void *b);
static int ctl_rebuild_segment(const ctl_rebuild_rec_t *a,
    const ctl_rebuild_rec_t *b);
static ctl_rebuild_rec_t *ctl_rebuild_find(ctl_rebuild_t *r, exam_str_t id,
    exam_str_t session, exam_str_t kind, int64_t n);
static void ctl_rebuild_variants(ctl_rebuild_t *r,
    const ctl_rebuild_slots_t *s);
static bool ctl_rebuild_taken(const ctl_rebuild_t *r,
    const ctl_rebuild_slots_t *s, const ctl_rebuild_rec_t *rec,
    uint32_t variant);
static bool ctl_rebuild_double(const ctl_rebuild_t *r,
    const ctl_rebuild_slots_t *s, const ctl_rebuild_rec_t *rec);
static bool ctl_rebuild_same(const ctl_rebuild_slot_t *slot,
    const ctl_rebuild_rec_t *rec);
static exam_db_e ctl_rebuild_compare(ctl_rebuild_t *r);
static void ctl_rebuild_bind(ctl_rebuild_t *r, const ctl_rebuild_rec_t *rec);
static exam_db_e ctl_rebuild_write(ctl_rebuild_t *r, bool *again);
static void ctl_rebuild_tell(ctl_rebuild_t *r);


ctl_rc_e
ctl_rebuild_rows(ctl_rebuild_t *r)
{
    bool       again;
    unsigned   tries;
    exam_db_e  rc;

    if (r->n == 0) {
        return CTL_OK;
    }

    for (tries = 0; tries < CTL_REBUILD_TRIES; tries++) {
        again = false;

        rc = exam_mysql_begin(&r->ctl->db);

        if (rc == EXAM_DB_OK) {
            rc = ctl_rebuild_once(r, &again);
        }

        if (rc == EXAM_DB_OK && !again) {
            rc = exam_mysql_commit(&r->ctl->db);

        } else {
            exam_mysql_rollback(&r->ctl->db);
        }

        if (rc == EXAM_DB_OK && !again) {
            ctl_rebuild_tell(r);
            return CTL_OK;
        }

        if (rc != EXAM_DB_OK && rc != EXAM_DB_RETRY) {
            return ctl_db_failed(r->ctl);
        }
    }

    return again ? ctl_fail(CTL_CONFLICT, "rows of \"%.*s\" change meanwhile: "
                            "try again", (int) r->student.len,
                            (const char *) r->student.data)
                 : ctl_db_failed(r->ctl);
}


static exam_db_e
ctl_rebuild_once(ctl_rebuild_t *r, bool *again)
{
    size_t               i;
    exam_db_e            rc;
    ctl_rebuild_slots_t  slots;

    if (r->n != 0) {
        qsort(r->recs, r->n, sizeof(ctl_rebuild_rec_t), ctl_rebuild_order);
    }

    for (i = 0; i < r->n; i++) {
        r->recs[i].variant = r->recs[i].s.variant;
        r->recs[i].fixed = r->recs[i].s.has_variant;
        r->recs[i].row = false;
        r->recs[i].differs = 0;
    }

    memset(&slots, 0, sizeof(ctl_rebuild_slots_t));

    rc = ctl_rebuild_slots(r, &slots);

    if (rc == EXAM_DB_OK) {
        ctl_rebuild_variants(r, &slots);
        rc = ctl_rebuild_compare(r);
    }

    free(slots.slots);

    if (rc == EXAM_DB_OK && !r->dry) {
        rc = ctl_rebuild_write(r, again);
    }

    return rc;
}


static exam_db_e
ctl_rebuild_slots(ctl_rebuild_t *r, ctl_rebuild_slots_t *s)
{
    exam_db_e           rc;
    exam_stmt_t        *stmt;
    ctl_rebuild_rec_t  *rec;

    stmt = &r->slots;

    rc = exam_stmt_prepare(stmt, &r->ctl->db, CTL_REBUILD_SLOTS_SQL);

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    exam_stmt_text(stmt, 0, r->exam);
    exam_stmt_text(stmt, 1, r->student);

    rc = exam_stmt_execute(stmt);

    while (rc == EXAM_DB_OK && (rc = exam_stmt_fetch(stmt)) == EXAM_DB_OK) {
        rec = ctl_rebuild_find(r, exam_stmt_col_str(stmt, 0),
                               exam_stmt_col_str(stmt, 1),
                               exam_stmt_col_str(stmt, 2),
                               exam_stmt_col_int(stmt, 3));

        if (rec == NULL) {
            ctl_rebuild_slot(s, stmt);

        } else if (!rec->fixed) {
            rec->variant = (uint32_t) exam_stmt_col_int(stmt, 4);
            rec->fixed = true;
        }
    }

    return rc == EXAM_DB_END ? EXAM_DB_OK : rc;
}


static void
ctl_rebuild_slot(ctl_rebuild_slots_t *s, const exam_stmt_t *stmt)
{
    exam_str_t           hash;
    ctl_rebuild_slot_t  *slot;

    s->slots = ctl_alloc(s->slots, s->n + 1, sizeof(ctl_rebuild_slot_t));
    slot = &s->slots[s->n];

    memset(slot, 0, sizeof(ctl_rebuild_slot_t));

    /* a row with a damaged session stands in nobody's way */

    if (!exam_sid_parse(exam_stmt_col_str(stmt, 1), slot->sid)) {
        return;
    }

    exam_stmt_col_copy(stmt, 2, slot->kind, sizeof(slot->kind));
    slot->n = (uint32_t) exam_stmt_col_int(stmt, 3);
    slot->variant = (uint32_t) exam_stmt_col_int(stmt, 4);
    slot->bytes = exam_stmt_col_int(stmt, 6);

    hash = exam_stmt_col_str(stmt, 5);

    if (hash.len == EXAM_HASH_LEN) {
        memcpy(slot->sha256, hash.data, EXAM_HASH_LEN);
    }

    s->n++;
}


/* by segment, then as they arrived */

static int
ctl_rebuild_order(const void *a, const void *b)
{
    int                       rc;
    const ctl_rebuild_rec_t  *x, *y;

    x = a;
    y = b;

    rc = ctl_rebuild_segment(x, y);

    if (rc == 0) {
        rc = (x->s.m.received_at > y->s.m.received_at)
             - (x->s.m.received_at < y->s.m.received_at);
    }

    if (rc == 0 && x->s.m.id.len == y->s.m.id.len) {
        rc = memcmp(x->s.m.id.data, y->s.m.id.data, x->s.m.id.len);

    } else if (rc == 0) {
        rc = x->s.m.id.len < y->s.m.id.len ? -1 : 1;
    }

    return rc;
}


static int
ctl_rebuild_segment(const ctl_rebuild_rec_t *a, const ctl_rebuild_rec_t *b)
{
    int         rc;
    exam_str_t  x, y;

    rc = memcmp(a->s.m.sid, b->s.m.sid, EXAM_SID_LEN);

    if (rc != 0) {
        return rc;
    }

    x = a->s.m.kind;
    y = b->s.m.kind;

    if (x.len != y.len) {
        return x.len < y.len ? -1 : 1;
    }

    rc = memcmp(x.data, y.data, x.len);

    return rc != 0 ? rc : (a->s.m.n > b->s.m.n) - (a->s.m.n < b->s.m.n);
}


/*
 * The side-car of a row: found by its segment, and when that is what is wrong
 * with the row, by looking at all.
 */

static ctl_rebuild_rec_t *
ctl_rebuild_find(ctl_rebuild_t *r, exam_str_t id, exam_str_t session,
    exam_str_t kind, int64_t n)
{
    size_t             i, low, high, mid;
    ctl_rebuild_rec_t  key;

    memset(&key, 0, sizeof(ctl_rebuild_rec_t));

    key.s.m.kind = kind;
    key.s.m.n = (uint32_t) n;
    low = 0;
    high = r->n;

    if (exam_sid_parse(session, key.s.m.sid)) {

        while (low < high) {
            mid = low + (high - low) / 2;

            if (ctl_rebuild_segment(&r->recs[mid], &key) < 0) {
                low = mid + 1;

            } else {
                high = mid;
            }
        }

        for (i = low; i < r->n
             && ctl_rebuild_segment(&r->recs[i], &key) == 0; i++)
        {
            if (exam_str_eq(r->recs[i].s.m.id, id)) {
                return r->recs[i].left ? NULL : &r->recs[i];
            }
        }
    }

    for (i = 0; i < r->n; i++) {
        if (exam_str_eq(r->recs[i].s.m.id, id)) {
            return r->recs[i].left ? NULL : &r->recs[i];
        }
    }

    return NULL;
}


static void
ctl_rebuild_variants(ctl_rebuild_t *r, const ctl_rebuild_slots_t *s)
{
    size_t              i;
    uint32_t            variant;
    ctl_rebuild_rec_t  *rec;

    /* two that claim one number: the one that came first has it */

    for (i = 0; i < r->n; i++) {
        rec = &r->recs[i];

        if (rec->left || !rec->fixed) {
            continue;
        }

        rec->fixed = false;
        rec->fixed = !ctl_rebuild_taken(r, s, rec, rec->variant);
    }

    for (i = 0; i < r->n; i++) {
        rec = &r->recs[i];

        if (rec->left || rec->fixed) {
            continue;
        }

        /* what the worker will remove as a double gets no row */

        if (rec->working && ctl_rebuild_double(r, s, rec)) {
            rec->left = true;
            r->left++;
            continue;
        }

        for (variant = 0; ctl_rebuild_taken(r, s, rec, variant); variant++) {
            /* void */
        }

        rec->variant = variant;
        rec->fixed = true;
    }
}


static bool
ctl_rebuild_taken(const ctl_rebuild_t *r, const ctl_rebuild_slots_t *s,
    const ctl_rebuild_rec_t *rec, uint32_t variant)
{
    size_t                    i;
    const ctl_rebuild_rec_t  *other;

    for (other = rec; other > r->recs
         && ctl_rebuild_segment(other - 1, rec) == 0; other--)
    {
        /* void */
    }

    for ( /* void */ ; other < r->recs + r->n
         && ctl_rebuild_segment(other, rec) == 0; other++)
    {
        if (other != rec && !other->left && other->fixed
            && other->variant == variant)
        {
            return true;
        }
    }

    for (i = 0; i < s->n; i++) {
        if (s->slots[i].variant == variant
            && ctl_rebuild_same(&s->slots[i], rec))
        {
            return true;
        }
    }

    return false;
}


static bool
ctl_rebuild_double(const ctl_rebuild_t *r, const ctl_rebuild_slots_t *s,
    const ctl_rebuild_rec_t *rec)
{
    size_t                    i;
    const ctl_rebuild_rec_t  *other;

    for (i = 0; i < r->n; i++) {
        other = &r->recs[i];

        if (other != rec && other->fixed && !other->left
            && ctl_rebuild_segment(other, rec) == 0
            && other->s.m.length == rec->s.m.length
            && memcmp(other->s.m.sha256, rec->s.m.sha256, EXAM_HASH_LEN) == 0)
        {
            return true;
        }
    }

    for (i = 0; i < s->n; i++) {
        if (ctl_rebuild_same(&s->slots[i], rec)
            && s->slots[i].bytes == rec->s.m.length
            && memcmp(s->slots[i].sha256, rec->s.m.sha256, EXAM_HASH_LEN) == 0)
        {
            return true;
        }
    }

    return false;
}


static bool
ctl_rebuild_same(const ctl_rebuild_slot_t *slot, const ctl_rebuild_rec_t *rec)
{
    return slot->n == rec->s.m.n
           && memcmp(slot->sid, rec->s.m.sid, EXAM_SID_LEN) == 0
           && exam_str_eq(ctl_str(slot->kind), rec->s.m.kind);
}


static exam_db_e
ctl_rebuild_compare(ctl_rebuild_t *r)
{
    unsigned            i;
    exam_db_e           rc;
    exam_stmt_t        *s;
    ctl_rebuild_rec_t  *rec;

    s = &r->rows;

    rc = exam_stmt_prepare(s, &r->ctl->db, CTL_REBUILD_ALL_SQL);

    if (rc == EXAM_DB_OK) {
        rc = exam_stmt_prepare(&r->insert, &r->ctl->db,
                               EXAM_RECORDING_INSERT EXAM_RECORDING_ROW
                               EXAM_RECORDING_KEEP);
    }

    if (rc == EXAM_DB_OK) {
        rc = exam_stmt_prepare(&r->remove, &r->ctl->db,
                               CTL_REBUILD_REMOVE_SQL);
    }

    if (rc != EXAM_DB_OK) {
        return rc;
    }

    exam_stmt_text(s, 0, r->exam);
    exam_stmt_text(s, 1, r->student);

    rc = exam_stmt_execute(s);

    while (rc == EXAM_DB_OK && (rc = exam_stmt_fetch(s)) == EXAM_DB_OK) {
        rec = ctl_rebuild_find(r, exam_stmt_col_str(s, 0),
                               exam_stmt_col_str(s, 3),
                               exam_stmt_col_str(s, 4),
                               exam_stmt_col_int(s, 5));

        if (rec == NULL) {
            continue;
        }

        rec->row = true;
        ctl_rebuild_bind(r, rec);

        for (i = 0; i < EXAM_RECORDING_NCOLUMNS; i++) {
            if (!exam_stmt_same(s, i, &r->insert, i)) {
                rec->differs |= (uint32_t) 1 << i;
            }
        }
    }

    return rc == EXAM_DB_END ? EXAM_DB_OK : rc;
}


static void
ctl_rebuild_bind(ctl_rebuild_t *r, const ctl_rebuild_rec_t *rec)
{
    exam_recording_t  row;

    row.m = &rec->s.m;
    row.media = &rec->s.media;
    row.stored_at = rec->s.stored_at;
    row.variant = rec->variant;
    row.sid = rec->sid;
    row.path = rec->path;

    exam_recording_bind(&r->insert, 0, &row);
}


/* all wrong rows go before the first comes: they may have swapped numbers */

static exam_db_e
ctl_rebuild_write(ctl_rebuild_t *r, bool *again)
{
    size_t              i;
    exam_db_e           rc;
    ctl_rebuild_rec_t  *rec;

    for (i = 0; i < r->n; i++) {
        rec = &r->recs[i];

        /* without a row of this student, another may have got it */

        if (rec->left || (rec->row && rec->differs == 0)) {
            continue;
        }

        exam_stmt_text(&r->remove, 0, rec->s.m.id);
        rc = exam_stmt_execute(&r->remove);

        if (rc != EXAM_DB_OK) {
            return rc;
        }

        if (!rec->row && exam_stmt_affected(&r->remove) != 0) {
            rec->row = true;
            rec->differs = CTL_REBUILD_OWNER;
        }
    }

    for (i = 0; i < r->n; i++) {
        rec = &r->recs[i];

        if (rec->left || (rec->row && rec->differs == 0)) {
            continue;
        }

        ctl_rebuild_bind(r, rec);
        rc = exam_stmt_execute(&r->insert);

        if (rc != EXAM_DB_OK) {
            return rc;
        }

        if (exam_stmt_affected(&r->insert) == 0) {
            *again = true;
        }
    }

    return EXAM_DB_OK;
}


static void
ctl_rebuild_tell(ctl_rebuild_t *r)
{
    size_t                    i, k, len;
    const char               *name;
    const ctl_rebuild_rec_t  *rec;

    for (i = 0; i < r->n; i++) {
        rec = &r->recs[i];

        if (rec->left) {
            continue;
        }

        r->right += rec->row && rec->differs == 0;
        r->added += !rec->row;
        r->repaired += rec->row && rec->differs != 0;

        if (!rec->row || rec->differs == 0) {
            continue;
        }

        printf("%s  %.*s ", r->dry ? "differs" : "repaired",
               (int) rec->s.m.id.len, (const char *) rec->s.m.id.data);

        name = EXAM_RECORDING_COLUMNS;

        for (k = 0; k < EXAM_RECORDING_NCOLUMNS; k++) {
            len = strcspn(name, ",");

            if ((rec->differs & ((uint32_t) 1 << k)) != 0) {
                printf(" %.*s", (int) len, name);
            }

            name += len + strspn(name + len, ", ");
        }

        printf("\n");
    }
}
