
/*
 * JSON on yajl's streaming callbacks.  Called for bodies of candidates and for
 * manifests, on the caller's arena, in any thread.
 *
 * yajl does not look at the result of its allocations (it writes through NULL),
 * so an arena that is used up leaves the parse by longjmp: everything yajl has
 * lives in the arena, nothing is lost by it.  yajl's check of UTF-8 lets
 * overlong forms and surrogates pass, so the body is checked before, and what
 * it has unescaped after.  Its stack grows without limit: depth is counted
 * here.
 */


#include "exam_json.h"

#include <setjmp.h>

#include <yajl/yajl_parse.h>


#define EXAM_JSON_KEY_MAX   64      /* an escaped key is cut there */
#define EXAM_JSON_DIGITS    19      /* as many always fit uint64_t */
#define EXAM_JSON_EXP_MAX   9999


typedef struct {
    exam_arena_t  *arena;
    exam_json_pt   callback;
    void          *data;
    exam_str_t     body;
    exam_str_t     key;             /* of the value that comes next */
    yajl_handle    yajl;
    size_t         offset;          /* behind the token before */
    unsigned       depth;           /* open containers */
    exam_err_e     err;             /* why the parse was cancelled */
    jmp_buf        full;
    uint8_t        unescaped[EXAM_JSON_KEY_MAX];
} exam_json_parser_t;


typedef struct {
    exam_arena_t              *arena;
    const exam_json_member_t  *table;
    size_t                     n;
    void                      *out;
    uint32_t                  *given;
} exam_json_object_t;


/* stands before each of yajl's blocks: its realloc does not tell the size */

typedef union {
    size_t         size;
    max_align_t    align;
} exam_json_block_t;


static exam_err_e exam_json_run(exam_json_parser_t *p);
static void *exam_json_malloc(void *ctx, size_t size);
static void *exam_json_realloc(void *ctx, void *old, size_t size);
static void exam_json_free(void *ctx, void *old);
static int exam_json_null(void *ctx);
static int exam_json_boolean(void *ctx, int boolean);
static int exam_json_number(void *ctx, const char *text, size_t len);
static int exam_json_string(void *ctx, const unsigned char *text, size_t len);
static int exam_json_key(void *ctx, const unsigned char *text, size_t len);
static int exam_json_begin_object(void *ctx);
static int exam_json_end_object(void *ctx);
static int exam_json_begin_array(void *ctx);
static int exam_json_end_array(void *ctx);
static int exam_json_begin(exam_json_parser_t *p, exam_json_type_e type);
static int exam_json_end(exam_json_parser_t *p, exam_json_type_e type);
static int exam_json_emit(exam_json_parser_t *p, exam_json_value_t *v);
static exam_str_t exam_json_token(exam_json_parser_t *p);
static bool exam_json_space(uint8_t c);
static bool exam_json_in_body(const exam_json_parser_t *p, exam_str_t s);
static bool exam_json_unescaped_valid(exam_json_parser_t *p, exam_str_t s);
static bool exam_json_integer(exam_str_t s, int64_t *out);
static double exam_json_decimal(exam_str_t s);
static double exam_json_scale(double v, int exponent);
static exam_err_e exam_json_set(const exam_json_member_t *m,
    const exam_json_value_t *v, exam_arena_t *arena, void *to);
static exam_err_e exam_json_object_value(void *data,
    const exam_json_value_t *v);


static const yajl_callbacks  exam_json_callbacks = {
    exam_json_null,
    exam_json_boolean,
    NULL,                           /* integer, double: number is both */
    NULL,
    exam_json_number,
    exam_json_string,
    exam_json_begin_object,
    exam_json_key,
    exam_json_end_object,
    exam_json_begin_array,
    exam_json_end_array
};


void
exam_arena_init(exam_arena_t *a, void *memory, size_t size)
{
    a->pos = memory;
    a->end = a->pos + size;
    a->wrong = exam_str("");
}


void *
exam_arena_alloc(exam_arena_t *a, size_t size)
{
    size_t    gap;
    uint8_t  *p;

    gap = (size_t) (-(uintptr_t) a->pos & (_Alignof(max_align_t) - 1));

    if (gap > (size_t) (a->end - a->pos)
        || size > (size_t) (a->end - a->pos) - gap)
    {
        return NULL;
    }

    p = a->pos + gap;
    a->pos = p + size;

    return p;
}


exam_err_e
exam_json_parse(exam_str_t body, exam_arena_t *arena, exam_json_pt callback,
    void *data)
{
    exam_json_parser_t  p;

    if (!exam_utf8_valid(body.data, body.len)) {
        return EXAM_ERR_BAD_UTF8;
    }

    p.arena = arena;
    p.callback = callback;
    p.data = data;
    p.body = body;
    p.key = exam_str("");
    p.offset = 0;
    p.depth = 0;
    p.err = EXAM_OK;

    if (setjmp(p.full) != 0) {
        return EXAM_ERR_TOO_LARGE;
    }

    return exam_json_run(&p);
}


static exam_err_e
exam_json_run(exam_json_parser_t *p)
{
    yajl_handle       yajl;
    yajl_status       status;
    yajl_alloc_funcs  alloc;

    alloc.malloc = exam_json_malloc;
    alloc.realloc = exam_json_realloc;
    alloc.free = exam_json_free;
    alloc.ctx = p;

    yajl = yajl_alloc(&exam_json_callbacks, &alloc, p);

    if (yajl == NULL) {
        return EXAM_ERR_TOO_LARGE;
    }

    p->yajl = yajl;

    status = yajl_parse(yajl, p->body.data, p->body.len);

    if (status == yajl_status_ok) {
        status = yajl_complete_parse(yajl);
    }

    /* the handle needs no yajl_free(): it is the arena's */

    if (status == yajl_status_client_canceled) {
        return p->err;
    }

    return status == yajl_status_ok ? EXAM_OK : EXAM_ERR_BAD_JSON;
}


static void *
exam_json_malloc(void *ctx, size_t size)
{
    exam_json_block_t   *block;
    exam_json_parser_t  *p;

    p = ctx;

    if (size > SIZE_MAX - sizeof(exam_json_block_t)) {
        longjmp(p->full, 1);
    }

    block = exam_arena_alloc(p->arena, sizeof(exam_json_block_t) + size);

    if (block == NULL) {
        longjmp(p->full, 1);
    }

    block->size = size;

    return block + 1;
}


static void *
exam_json_realloc(void *ctx, void *old, size_t size)
{
    void                *moved;
    exam_json_block_t   *block;
    exam_json_parser_t  *p;

    if (old == NULL) {
        return exam_json_malloc(ctx, size);
    }

    p = ctx;
    block = (exam_json_block_t *) old - 1;

    if (size <= block->size) {
        return old;
    }

    /* the last block grows where it is: a long string is not kept twice */

    if ((uint8_t *) old + block->size == p->arena->pos
        && size - block->size <= (size_t) (p->arena->end - p->arena->pos))
    {
        p->arena->pos += size - block->size;
        block->size = size;

        return old;
    }

    moved = exam_json_malloc(ctx, size);
    memcpy(moved, old, block->size);

    return moved;
}


static void
exam_json_free(void *ctx, void *old)
{
    (void) ctx;
    (void) old;
}


static int
exam_json_null(void *ctx)
{
    exam_json_value_t  v = { .type = EXAM_JSON_NULL };

    return exam_json_emit(ctx, &v);
}


static int
exam_json_boolean(void *ctx, int boolean)
{
    exam_json_value_t  v = { .type = EXAM_JSON_BOOL };

    v.boolean = (boolean != 0);

    return exam_json_emit(ctx, &v);
}


static int
exam_json_number(void *ctx, const char *text, size_t len)
{
    exam_str_t         s;
    exam_json_value_t  v = { .type = EXAM_JSON_NUMBER };

    s = exam_str_make(text, len);

    if (exam_json_integer(s, &v.integer)) {
        v.type = EXAM_JSON_INT;
        v.number = (double) v.integer;

    } else {
        v.number = exam_json_decimal(s);
    }

    return exam_json_emit(ctx, &v);
}


static int
exam_json_string(void *ctx, const unsigned char *text, size_t len)
{
    exam_json_value_t  v = { .type = EXAM_JSON_STRING };

    v.string = exam_str_make(text, len);

    if (!exam_json_unescaped_valid(ctx, v.string)) {
        return 0;
    }

    return exam_json_emit(ctx, &v);
}


static int
exam_json_key(void *ctx, const unsigned char *text, size_t len)
{
    exam_str_t           s;
    exam_json_parser_t  *p;

    p = ctx;
    s = exam_str_make(text, len);

    if (!exam_json_unescaped_valid(p, s)) {
        return 0;
    }

    /*
     * yajl unescapes the value into the same buffer.  No member of ours has a
     * name as long as the copy, so that a cut key is an unknown one still.
     */

    if (!exam_json_in_body(p, s)) {
        s.data = p->unescaped;

        if (s.len > sizeof(p->unescaped)) {
            s.len = sizeof(p->unescaped);
        }

        memcpy(p->unescaped, text, s.len);
    }

    p->key = s;
    (void) exam_json_token(p);

    return 1;
}


static int
exam_json_begin_object(void *ctx)
{
    return exam_json_begin(ctx, EXAM_JSON_BEGIN_OBJECT);
}


static int
exam_json_end_object(void *ctx)
{
    return exam_json_end(ctx, EXAM_JSON_END_OBJECT);
}


static int
exam_json_begin_array(void *ctx)
{
    return exam_json_begin(ctx, EXAM_JSON_BEGIN_ARRAY);
}


static int
exam_json_end_array(void *ctx)
{
    return exam_json_end(ctx, EXAM_JSON_END_ARRAY);
}


static int
exam_json_begin(exam_json_parser_t *p, exam_json_type_e type)
{
    exam_json_value_t  v = { .type = type };

    if (p->depth == EXAM_JSON_DEPTH) {
        p->err = EXAM_ERR_TOO_DEEP;
        return 0;
    }

    if (!exam_json_emit(p, &v)) {
        return 0;
    }

    p->depth++;

    return 1;
}


static int
exam_json_end(exam_json_parser_t *p, exam_json_type_e type)
{
    exam_json_value_t  v = { .type = type };

    p->depth--;

    return exam_json_emit(p, &v);
}


static int
exam_json_emit(exam_json_parser_t *p, exam_json_value_t *v)
{
    v->depth = p->depth;
    v->key = p->key;
    v->text = exam_json_token(p);

    p->key = exam_str("");
    p->err = p->callback(p->data, v);

    return p->err == EXAM_OK;
}


/* from the token before to this one stand white space, `:` and `,` only */

static exam_str_t
exam_json_token(exam_json_parser_t *p)
{
    size_t   start, end;
    uint8_t  c;

    for (start = p->offset; start < p->body.len; start++) {
        c = p->body.data[start];

        if (!exam_json_space(c) && c != ':' && c != ',') {
            break;
        }
    }

    end = yajl_get_bytes_consumed(p->yajl);

    /* a number that ends with the body is told of behind it */

    if (end <= start) {
        end = p->body.len;
    }

    p->offset = end;

    return exam_str_make(p->body.data + start, end - start);
}


static bool
exam_json_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v'
           || c == '\f';
}


static bool
exam_json_in_body(const exam_json_parser_t *p, exam_str_t s)
{
    return (uintptr_t) s.data - (uintptr_t) p->body.data < p->body.len;
}


/*
 * "\udc00" alone becomes three bytes that are no UTF-8.  A string without
 * escapes still lies in the body, which has been checked.
 */

static bool
exam_json_unescaped_valid(exam_json_parser_t *p, exam_str_t s)
{
    if (exam_json_in_body(p, s) || exam_utf8_valid(s.data, s.len)) {
        return true;
    }

    p->err = EXAM_ERR_BAD_UTF8;

    return false;
}


/* the lexer has checked the form; false: not an integer, or too large */

static bool
exam_json_integer(exam_str_t s, int64_t *out)
{
    uint64_t  n;

    if (s.data[0] != '-') {
        if (!exam_uint_parse(s.data, s.len, INT64_MAX, &n)) {
            return false;
        }

        *out = (int64_t) n;

        return true;
    }

    if (!exam_uint_parse(s.data + 1, s.len - 1, INT64_MAX, &n)) {
        return false;
    }

    *out = -(int64_t) n;

    return true;
}


/*
 * Not strtod(): that one wants a NUL and follows the locale.  Exact for up to
 * 15 digits and powers of ten up to 22, else within a few last bits.
 */

static double
exam_json_decimal(exam_str_t s)
{
    int       exponent, n;
    bool      minus, point, negative;
    size_t    i, digits;
    double    v;
    uint64_t  m;

    m = 0;
    digits = 0;
    exponent = 0;
    point = false;
    minus = (s.data[0] == '-');

    for (i = minus; i < s.len; i++) {

        if (s.data[i] == '.') {
            point = true;
            continue;
        }

        if (s.data[i] < '0' || s.data[i] > '9') {
            break;
        }

        if (digits == EXAM_JSON_DIGITS) {
            exponent += !point;
            continue;
        }

        m = m * 10 + (uint64_t) (s.data[i] - '0');
        digits += (m != 0);
        exponent -= point;
    }

    if (i < s.len) {                /* `e` or `E`, a sign, digits */
        i++;
        negative = (s.data[i] == '-');
        i += (s.data[i] == '-' || s.data[i] == '+');

        for (n = 0; i < s.len && n < EXAM_JSON_EXP_MAX; i++) {
            n = n * 10 + (s.data[i] - '0');
        }

        exponent += negative ? -n : n;
    }

    v = exam_json_scale((double) m, exponent);

    return minus ? -v : v;
}


static double
exam_json_scale(double v, int exponent)
{
    static const double  tens[] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
    };

    /* beyond that it is zero or infinite already */

    if (exponent > 400) {
        exponent = 400;

    } else if (exponent < -400) {
        exponent = -400;
    }

    for ( /* void */ ; exponent > 22; exponent -= 22) {
        v *= tens[22];
    }

    for ( /* void */ ; exponent < -22; exponent += 22) {
        v /= tens[22];
    }

    return exponent < 0 ? v / tens[-exponent] : v * tens[exponent];
}


exam_err_e
exam_json_take(const exam_json_member_t *table, size_t n,
    const exam_json_value_t *v, exam_arena_t *arena, void *out,
    uint32_t *given)
{
    size_t                     i;
    exam_err_e                 err;
    const exam_json_member_t  *m;

    for (i = 0; i < n && !exam_str_eq(table[i].name, v->key); i++) {
        /* void */
    }

    if (i == n) {
        return EXAM_OK;
    }

    m = &table[i];

    if (v->type == EXAM_JSON_NULL) {
        *given |= (uint32_t) m->nullable << i;
        return EXAM_OK;
    }

    *given |= (uint32_t) 1 << i;

    /* 1 is a number as well, and 1.5 in an integer's place a bad value */

    if (v->type != m->type
        && !(v->type == EXAM_JSON_INT && m->type == EXAM_JSON_NUMBER))
    {
        err = (v->type == EXAM_JSON_NUMBER && m->type == EXAM_JSON_INT)
              ? EXAM_ERR_BAD_VALUE : EXAM_ERR_BAD_TYPE;

    } else {
        err = exam_json_set(m, v, arena, (uint8_t *) out + m->offset);
    }

    if (err != EXAM_OK) {
        arena->wrong = m->name;
    }

    return err;
}


static exam_err_e
exam_json_set(const exam_json_member_t *m, const exam_json_value_t *v,
    exam_arena_t *arena, void *to)
{
    uint8_t     *copy;
    exam_str_t   s;

    switch (m->type) {

    case EXAM_JSON_BOOL:
        *(int64_t *) to = v->boolean;
        return EXAM_OK;

    case EXAM_JSON_INT:
        if (v->integer < m->min || v->integer > m->max) {
            return EXAM_ERR_BAD_VALUE;
        }

        *(int64_t *) to = v->integer;
        return EXAM_OK;

    case EXAM_JSON_NUMBER:
        if (v->number < (double) m->min || v->number > (double) m->max) {
            return EXAM_ERR_BAD_VALUE;
        }

        *(double *) to = v->number;
        return EXAM_OK;

    case EXAM_JSON_STRING:
        s = v->string;

        if ((int64_t) s.len < m->min || (int64_t) s.len > m->max) {
            return EXAM_ERR_BAD_VALUE;
        }

        copy = exam_arena_alloc(arena, s.len);

        if (copy == NULL) {
            return EXAM_ERR_TOO_LARGE;
        }

        if (s.len != 0) {
            memcpy(copy, s.data, s.len);
        }

        *(exam_str_t *) to = exam_str_make(copy, s.len);
        return EXAM_OK;

    default:
        return EXAM_ERR_INTERNAL;
    }
}


exam_err_e
exam_json_object(exam_str_t body, exam_arena_t *arena,
    const exam_json_member_t *table, size_t n, void *out, uint32_t *given)
{
    exam_json_object_t  o;

    o.arena = arena;
    o.table = table;
    o.n = n;
    o.out = out;
    o.given = given;

    *given = 0;

    return exam_json_parse(body, arena, exam_json_object_value, &o);
}


static exam_err_e
exam_json_object_value(void *data, const exam_json_value_t *v)
{
    exam_json_object_t  *o;

    o = data;

    if (v->depth == 0) {
        return exam_json_top(v);
    }

    if (v->depth > 1) {
        return EXAM_OK;
    }

    return exam_json_take(o->table, o->n, v, o->arena, o->out, o->given);
}


exam_err_e
exam_json_top(const exam_json_value_t *v)
{
    return (v->type == EXAM_JSON_BEGIN_OBJECT
            || v->type == EXAM_JSON_END_OBJECT)
           ? EXAM_OK : EXAM_ERR_BAD_TYPE;
}


void
exam_json_compact(exam_buf_t *b, exam_str_t text)
{
    bool     quoted;
    size_t   i, run;
    uint8_t  c;

    quoted = false;
    run = 0;

    for (i = 0; i < text.len; i++) {
        c = text.data[i];

        if (c == '"') {
            quoted = !quoted;

        } else if (quoted) {
            i += (c == '\\');

        } else if (exam_json_space(c)) {
            exam_buf_put(b, text.data + run, i - run);
            run = i + 1;
        }
    }

    exam_buf_put(b, text.data + run, text.len - run);
}
