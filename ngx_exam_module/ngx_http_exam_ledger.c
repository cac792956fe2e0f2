
/*
 * The union of ledger and zone (see the header).  Pure but for the zone's lock;
 * called on the event loop by /me and logout.
 */


#include "ngx_http_exam_intake.h"
#include "ngx_http_exam_ledger.h"


#define NGX_HTTP_EXAM_LEDGER_RANGES  8      /* a set, at first */
#define NGX_HTTP_EXAM_LEDGER_HELD    16     /* incomplete ones of a kind */


static ngx_int_t ngx_http_exam_ledger_pair(ngx_http_exam_main_conf_t *mcf,
    redisReply *field, redisReply *value, ngx_http_exam_ledger_entry_t *e);
static exam_seg_e ngx_http_exam_ledger_refused(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_ledger_entry_t *e, const exam_ledger_t *entry);
static int ngx_libc_cdecl ngx_http_exam_ledger_order(const void *one,
    const void *two);
static ngx_int_t ngx_http_exam_ledger_add(ngx_http_exam_ledger_t *l,
    exam_ranges_t *set, uint32_t lo, uint32_t hi);
static ngx_int_t ngx_http_exam_ledger_merge(ngx_http_exam_ledger_t *l,
    exam_ranges_t *set, const exam_ranges_t *from);
static ngx_int_t ngx_http_exam_ledger_cut(ngx_http_exam_ledger_t *l,
    exam_ranges_t *set, const exam_ranges_t *cut);


static const char  *ngx_http_exam_sets[] = {
    "stored", "received", "receiving", "lost", "refused"
};


/* the highest state first */

static const ngx_http_exam_set_e  ngx_http_exam_set_rank[] = {
    NGX_HTTP_EXAM_SET_STORED,
    NGX_HTTP_EXAM_SET_RECEIVED,
    NGX_HTTP_EXAM_SET_LOST,
    NGX_HTTP_EXAM_SET_REFUSED,
    NGX_HTTP_EXAM_SET_RECEIVING
};


void
ngx_http_exam_ledger_init(ngx_http_exam_ledger_t *l, ngx_pool_t *pool)
{
    ngx_memzero(l, sizeof(ngx_http_exam_ledger_t));

    l->pool = pool;
}


ngx_int_t
ngx_http_exam_ledger_read(ngx_http_request_t *r, redisReply *reply,
    size_t from, ngx_array_t *entries)
{
    size_t                         i;
    ngx_uint_t                     n;
    ngx_http_exam_main_conf_t     *mcf;
    ngx_http_exam_ledger_entry_t  *e;

    mcf = ngx_http_exam_main_conf(r);
    n = reply->elements > from ? (reply->elements - from) / 2 : 0;

    if (ngx_array_init(entries, r->pool, ngx_max(n, 1),
                       sizeof(ngx_http_exam_ledger_entry_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = from; i + 1 < reply->elements; i += 2) {

        e = ngx_array_push(entries);
        if (e == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_exam_ledger_pair(mcf, reply->element[i],
                                      reply->element[i + 1], e)
            != NGX_OK)
        {
            entries->nelts--;
        }
    }

    ngx_qsort(entries->elts, entries->nelts, entries->size,
              ngx_http_exam_ledger_order);

    return NGX_OK;
}


static ngx_int_t
ngx_http_exam_ledger_pair(ngx_http_exam_main_conf_t *mcf, redisReply *field,
    redisReply *value, ngx_http_exam_ledger_entry_t *e)
{
    int            kind;
    exam_str_t     name;
    exam_ledger_t  entry;

    if (field->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING
        || !exam_ledger_field_parse(exam_str_make(field->str, field->len),
                                    e->sid, &name, &e->n)
        || !exam_ledger_parse(exam_str_make(value->str, value->len), &entry))
    {
        return NGX_DECLINED;
    }

    kind = exam_kind_find(&mcf->kinds, name);

    if (kind < 0
        || ngx_http_exam_ledger_stale(mcf, e->sid, (ngx_uint_t) kind, e->n,
                                      &entry))
    {
        return NGX_DECLINED;
    }

    e->kind = (uint8_t) kind;
    e->state = (uint8_t) (entry.state == EXAM_SEG_REFUSED
                          ? ngx_http_exam_ledger_refused(mcf, e, &entry)
                          : entry.state);

    return NGX_OK;
}


ngx_uint_t
ngx_http_exam_ledger_stale(ngx_http_exam_main_conf_t *mcf,
    const uint8_t sid[EXAM_SID_LEN], ngx_uint_t kind, uint32_t n,
    const exam_ledger_t *entry)
{
    ngx_http_exam_held_t      held;
    ngx_http_exam_snapshot_t  snap;

    if (entry->state != EXAM_SEG_RECEIVING
        || !ngx_http_exam_intake_here(mcf, entry->upload)
        || !ngx_http_exam_zone_warm(mcf->zone)
        || ngx_http_exam_zone_look(mcf->zone, sid, &snap) != NGX_OK)
    {
        return 0;
    }

    ngx_memzero(&held, sizeof(ngx_http_exam_held_t));

    held.kind = (unsigned) kind & 0xff;
    held.n = n & 0xffffff;

    return ngx_http_exam_zone_upload_find(mcf->zone, sid, &held) != NGX_OK;
}


/* has it come again, by an upload that the ledger has not heard of yet? */

static exam_seg_e
ngx_http_exam_ledger_refused(ngx_http_exam_main_conf_t *mcf,
    const ngx_http_exam_ledger_entry_t *e, const exam_ledger_t *entry)
{
    return ngx_http_exam_zone_refused(mcf->zone, e->sid, e->kind, e->n,
                                      entry->upload)
           == NGX_ABORT ? EXAM_SEG_RECEIVED : EXAM_SEG_REFUSED;
}


static int ngx_libc_cdecl
ngx_http_exam_ledger_order(const void *one, const void *two)
{
    int  rc;

    const ngx_http_exam_ledger_entry_t *a = one;
    const ngx_http_exam_ledger_entry_t *b = two;

    rc = ngx_memcmp(a->sid, b->sid, EXAM_SID_LEN);

    return rc ? rc : (a->n > b->n) - (a->n < b->n);
}


ngx_int_t
ngx_http_exam_ledger_entries(ngx_http_exam_ledger_t *l,
    const ngx_http_exam_ledger_entry_t *e, ngx_uint_t n)
{
    ngx_uint_t           i;
    ngx_http_exam_set_e  set;

    for (i = 0; i < n; i++) {

        switch (e[i].state) {

        case EXAM_SEG_STORED:
            set = NGX_HTTP_EXAM_SET_STORED;
            break;

        case EXAM_SEG_RECEIVED:
            set = NGX_HTTP_EXAM_SET_RECEIVED;
            break;

        case EXAM_SEG_RECEIVING:
            set = NGX_HTTP_EXAM_SET_RECEIVING;
            break;

        case EXAM_SEG_LOST:
            set = NGX_HTTP_EXAM_SET_LOST;
            break;

        default: /* EXAM_SEG_REFUSED */
            set = NGX_HTTP_EXAM_SET_REFUSED;
            break;
        }

        if (ngx_http_exam_ledger_add(l, &l->sets[e[i].kind][set], e[i].n,
                                     e[i].n)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_exam_ledger_prefix(ngx_http_exam_ledger_t *l, ngx_uint_t kind,
    int32_t stored)
{
    ngx_uint_t      i;
    exam_range_t    all;
    exam_ranges_t   prefix, *sets;

    if (stored < 0) {
        return NGX_OK;
    }

    sets = l->sets[kind];

    exam_ranges_init(&prefix, &all, 1);
    (void) exam_ranges_add(&prefix, 0, (uint32_t) stored);

    for (i = 0; i < NGX_HTTP_EXAM_SETS; i++) {
        if (ngx_http_exam_ledger_cut(l, &prefix, &sets[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_exam_ledger_merge(l, &sets[NGX_HTTP_EXAM_SET_STORED],
                                      &prefix);
}


ngx_int_t
ngx_http_exam_ledger_local(ngx_http_exam_ledger_t *l,
    ngx_http_exam_main_conf_t *mcf, const uint8_t sid[EXAM_SID_LEN])
{
    ngx_uint_t                i, j, k, n, others;
    exam_range_t              r[NGX_HTTP_EXAM_RANGES], g[NGX_HTTP_EXAM_LOST];
    exam_ranges_t            *sets, received, lost;
    ngx_http_exam_held_t      held[NGX_HTTP_EXAM_LEDGER_HELD];
    ngx_http_exam_snapshot_t  snap;

    if (ngx_http_exam_zone_look(mcf->zone, sid, &snap) != NGX_OK) {
        return NGX_OK;
    }

    for (i = 0; i < mcf->kinds.n; i++) {
        sets = l->sets[i];

        n = ngx_http_exam_zone_upload_list(mcf->zone, sid, 0, i, held,
                                           NGX_HTTP_EXAM_LEDGER_HELD, &others);

        for (j = 0; j < n; j++) {
            if (ngx_http_exam_ledger_add(l, &sets[NGX_HTTP_EXAM_SET_RECEIVING],
                                         held[j].n, held[j].n)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        exam_ranges_init(&received, r, NGX_HTTP_EXAM_RANGES);
        exam_ranges_init(&lost, g, NGX_HTTP_EXAM_LOST);

        (void) ngx_http_exam_zone_ranges(mcf->zone, sid, i, &received, &lost);

        /* received here and stored by now is stored, so the prefix is first */

        if (ngx_http_exam_ledger_merge(l, &sets[NGX_HTTP_EXAM_SET_LOST], &lost)
                != NGX_OK
            || ngx_http_exam_ledger_prefix(l, i, snap.stored[i]) != NGX_OK
            || ngx_http_exam_ledger_merge(l, &sets[NGX_HTTP_EXAM_SET_RECEIVED],
                                          &received)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (j = 1; j < NGX_HTTP_EXAM_SETS; j++) {
            for (k = 0; k < j; k++) {
                if (ngx_http_exam_ledger_cut(l,
                                             &sets[ngx_http_exam_set_rank[j]],
                                             &sets[ngx_http_exam_set_rank[k]])
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }
            }
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_exam_ledger_stored(ngx_http_exam_ledger_t *l, ngx_uint_t kind,
    int32_t *stored)
{
    exam_ranges_t  settled;

    *stored = -1;

    exam_ranges_init(&settled, NULL, 0);

    if (ngx_http_exam_ledger_merge(l, &settled,
                                   &l->sets[kind][NGX_HTTP_EXAM_SET_STORED])
            != NGX_OK
        || ngx_http_exam_ledger_merge(l, &settled,
                                      &l->sets[kind][NGX_HTTP_EXAM_SET_LOST])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (settled.n > 0 && settled.r[0].lo == 0) {
        *stored = (int32_t) settled.r[0].hi;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_exam_ledger_pending(ngx_http_exam_ledger_t *l, ngx_uint_t kind,
    int64_t last, exam_ranges_t *out)
{
    exam_range_t         *memory;
    ngx_uint_t            i, n;
    const exam_ranges_t  *settled[3];

    exam_ranges_init(out, NULL, 0);

    if (last < 0) {
        return NGX_OK;
    }

    settled[0] = &l->sets[kind][NGX_HTTP_EXAM_SET_STORED];
    settled[1] = &l->sets[kind][NGX_HTTP_EXAM_SET_RECEIVED];
    settled[2] = &l->sets[kind][NGX_HTTP_EXAM_SET_LOST];

    /* no more gaps than ranges and one */

    for (i = 0, n = 1; i < 3; i++) {
        n += settled[i]->n;
    }

    memory = ngx_palloc(l->pool, n * sizeof(exam_range_t));
    if (memory == NULL) {
        return NGX_ERROR;
    }

    exam_ranges_init(out, memory, (uint32_t) n);
    (void) exam_ranges_missing(out, 0, (uint32_t) last, settled, 3);

    return NGX_OK;
}


ngx_int_t
ngx_http_exam_ledger_json(ngx_http_exam_ledger_t *l, exam_buf_t *b,
    const exam_kinds_t *kinds)
{
    int64_t        last;
    ngx_uint_t     i, j;
    exam_ranges_t  missing;

    exam_buf_char(b, '{');

    for (i = 0; i < kinds->n; i++) {
        last = -1;

        if (i > 0) {
            exam_buf_char(b, ',');
        }

        exam_buf_char(b, '"');
        exam_buf_put(b, kinds->name[i].data, kinds->name[i].len);
        exam_buf_lit(b, "\":{");

        for (j = 0; j < NGX_HTTP_EXAM_SETS; j++) {
            exam_buf_char(b, '"');
            exam_buf_put(b, ngx_http_exam_sets[j],
                         ngx_strlen(ngx_http_exam_sets[j]));
            exam_buf_lit(b, "\":");
            exam_ranges_json(b, &l->sets[i][j]);
            exam_buf_char(b, ',');

            last = ngx_max(last, exam_ranges_highest(&l->sets[i][j]));
        }

        if (ngx_http_exam_ledger_pending(l, i, last, &missing) != NGX_OK) {
            return NGX_ERROR;
        }

        exam_buf_lit(b, "\"missing\":");
        exam_ranges_json(b, &missing);
        exam_buf_char(b, '}');
    }

    exam_buf_char(b, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_http_exam_ledger_add(ngx_http_exam_ledger_t *l, exam_ranges_t *set,
    uint32_t lo, uint32_t hi)
{
    uint32_t       max;
    exam_range_t  *memory;

    if (exam_ranges_add(set, lo, hi)) {
        return NGX_OK;
    }

    max = set->max ? set->max * 2 : NGX_HTTP_EXAM_LEDGER_RANGES;

    memory = ngx_palloc(l->pool, max * sizeof(exam_range_t));
    if (memory == NULL) {
        return NGX_ERROR;
    }

    if (set->n > 0) {
        ngx_memcpy(memory, set->r, set->n * sizeof(exam_range_t));
    }

    set->r = memory;
    set->max = max;

    return exam_ranges_add(set, lo, hi) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_exam_ledger_merge(ngx_http_exam_ledger_t *l, exam_ranges_t *set,
    const exam_ranges_t *from)
{
    uint32_t  i;

    for (i = 0; i < from->n; i++) {
        if (ngx_http_exam_ledger_add(l, set, from->r[i].lo, from->r[i].hi)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* set without the numbers of `cut` */

static ngx_int_t
ngx_http_exam_ledger_cut(ngx_http_exam_ledger_t *l, exam_ranges_t *set,
    const exam_ranges_t *cut)
{
    uint32_t        max;
    exam_range_t   *memory;
    exam_ranges_t   out;

    if (set->n == 0 || cut->n == 0) {
        return NGX_OK;
    }

    max = set->n + cut->n;

    memory = ngx_palloc(l->pool, max * sizeof(exam_range_t));
    if (memory == NULL) {
        return NGX_ERROR;
    }

    exam_ranges_init(&out, memory, max);

    if (!exam_ranges_subtract(&out, set, cut)) {
        return NGX_ERROR;
    }

    *set = out;

    return NGX_OK;
}
