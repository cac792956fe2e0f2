
/*
 * Lines of a backup, each parsed by itself: memory is that of the longest line,
 * however long the file is.
 */


#include "ctl_restore.h"

#include <errno.h>
#include <stdlib.h>


#define CTL_RESTORE_YAJL  (8 * CTL_RESTORE_LINE)


typedef enum {
    CTL_IN_NOTHING = 0,
    CTL_IN_COLUMNS,
    CTL_IN_END
} ctl_in_e;


typedef struct {
    ctl_line_t    *line;
    exam_arena_t  *arena;
    ctl_in_e       in;
} ctl_line_parse_t;


static exam_err_e ctl_line_value(void *data, const exam_json_value_t *v);
static exam_err_e ctl_line_member(ctl_line_parse_t *p,
    const exam_json_value_t *v);
static exam_err_e ctl_line_inner(ctl_line_parse_t *p,
    const exam_json_value_t *v);
static exam_err_e ctl_line_add(ctl_line_parse_t *p,
    const exam_json_value_t *v);
static exam_err_e ctl_line_text(ctl_line_parse_t *p,
    const exam_json_value_t *v, exam_str_t *out);


ctl_rc_e
ctl_reader_open(ctl_reader_t *r, const char *path)
{
    memset(r, 0, sizeof(ctl_reader_t));

    r->path = path;
    r->memory = ctl_alloc(NULL, CTL_RESTORE_YAJL, 1);
    r->file = fopen(path, "re");

    if (r->file == NULL) {
        return ctl_fail(CTL_FAILED, "cannot open \"%s\": %s", path,
                        strerror(errno));
    }

    return ctl_reader_rewind(r);
}


ctl_rc_e
ctl_reader_rewind(ctl_reader_t *r)
{
    if (fseek(r->file, 0, SEEK_SET) != 0) {
        return ctl_fail(CTL_FAILED, "cannot read \"%s\" twice: %s", r->path,
                        strerror(errno));
    }

    r->number = 0;
    exam_sha256_init(&r->hash);
    exam_sha256_init(&r->next);

    return CTL_OK;
}


ctl_rc_e
ctl_reader_next(ctl_reader_t *r, exam_str_t *line)
{
    ssize_t  n;

    errno = 0;
    n = getline(&r->line, &r->size, r->file);

    if (n == -1 && errno != 0) {
        return ctl_fail(CTL_FAILED, "cannot read \"%s\": %s", r->path,
                        strerror(errno));
    }

    if (n == -1) {
        return ctl_fail(CTL_FAILED, "\"%s\" is cut off behind line %llu",
                        r->path, (unsigned long long) r->number);
    }

    r->number++;

    if (r->line[n - 1] != '\n' || n > CTL_RESTORE_LINE) {
        return ctl_reader_failed(r, "is cut off");
    }

    r->hash = r->next;
    exam_sha256_update(&r->next, r->line, (size_t) n);

    *line = exam_str_make(r->line, (size_t) n - 1);

    return CTL_OK;
}


ctl_rc_e
ctl_reader_failed(const ctl_reader_t *r, const char *what)
{
    return ctl_fail(CTL_FAILED, "%s:%llu: %s", r->path,
                    (unsigned long long) r->number, what);
}


void
ctl_reader_close(ctl_reader_t *r)
{
    if (r->file != NULL) {
        (void) fclose(r->file);
    }

    /* it may have held the keys */

    if (r->line != NULL) {
        explicit_bzero(r->line, r->size);
    }

    free(r->line);
    free(r->memory);
}


bool
ctl_reader_whole(const ctl_reader_t *r, const ctl_line_t *end)
{
    uint8_t        want[EXAM_HASH_LEN], have[EXAM_HASH_LEN];
    exam_sha256_t  hash;

    hash = r->hash;
    exam_sha256_final(&hash, have);

    return exam_hex_decode(end->sha256.data, end->sha256.len, want,
                           EXAM_HASH_LEN)
           && memcmp(want, have, EXAM_HASH_LEN) == 0;
}


exam_err_e
ctl_reader_parse(ctl_reader_t *r, exam_str_t text, exam_arena_t *arena,
    ctl_line_t *line)
{
    exam_err_e        err;
    exam_arena_t      yajl;
    ctl_line_parse_t  p;

    memset(line, 0, sizeof(ctl_line_t));
    memset(&p, 0, sizeof(ctl_line_parse_t));

    line->version = -1;
    line->schema = -1;

    p.line = line;
    p.arena = arena;

    exam_arena_init(&yajl, r->memory, CTL_RESTORE_YAJL);

    err = exam_json_parse(text, &yajl, ctl_line_value, &p);

    if (err != EXAM_OK) {
        return err;
    }

    if (text.len != 0 && text.data[0] == '[') {
        line->type = CTL_LINE_ROW;

    } else if (line->version != -1) {
        line->type = CTL_LINE_HEADER;

    } else if (line->table.data != NULL) {
        line->type = CTL_LINE_TABLE;

    } else if (line->keys.data != NULL) {
        line->type = CTL_LINE_KEYS;

    } else if (line->sha256.data != NULL) {
        line->type = CTL_LINE_END;

    } else {
        return EXAM_ERR_BAD_TYPE;
    }

    return EXAM_OK;
}


static exam_err_e
ctl_line_value(void *data, const exam_json_value_t *v)
{
    ctl_line_parse_t  *p;

    p = data;

    if (v->depth == 0) {
        return v->type >= EXAM_JSON_BEGIN_OBJECT ? EXAM_OK
                                                 : EXAM_ERR_BAD_TYPE;
    }

    if (v->depth == 1) {
        return ctl_line_member(p, v);
    }

    return v->depth == 2 ? ctl_line_inner(p, v) : EXAM_ERR_BAD_TYPE;
}


/* a member of an object, or a value of a row, which has no key */

static exam_err_e
ctl_line_member(ctl_line_parse_t *p, const exam_json_value_t *v)
{
    if (v->type == EXAM_JSON_END_OBJECT || v->type == EXAM_JSON_END_ARRAY) {
        p->in = CTL_IN_NOTHING;
        return EXAM_OK;
    }

    if (v->key.len == 0) {
        return ctl_line_add(p, v);
    }

    if (v->type == EXAM_JSON_BEGIN_ARRAY
        && exam_str_eq(v->key, exam_str("columns")))
    {
        p->in = CTL_IN_COLUMNS;
        return EXAM_OK;
    }

    if (v->type == EXAM_JSON_BEGIN_OBJECT
        && exam_str_eq(v->key, exam_str("end")))
    {
        p->in = CTL_IN_END;
        return EXAM_OK;
    }

    if (v->type == EXAM_JSON_INT) {

        if (exam_str_eq(v->key, exam_str("exam_monitor_backup"))) {
            p->line->version = v->integer;

        } else if (exam_str_eq(v->key, exam_str("schema"))) {
            p->line->schema = v->integer;
        }

        return EXAM_OK;
    }

    if (exam_str_eq(v->key, exam_str("table"))) {
        return ctl_line_text(p, v, &p->line->table);
    }

    if (exam_str_eq(v->key, exam_str("keys"))) {
        return ctl_line_text(p, v, &p->line->keys);
    }

    if (exam_str_eq(v->key, exam_str("sha256"))) {
        return ctl_line_text(p, v, &p->line->sha256);
    }

    return EXAM_OK;
}


/* a column's name, or the rows of a table */

static exam_err_e
ctl_line_inner(ctl_line_parse_t *p, const exam_json_value_t *v)
{
    size_t  i;

    if (p->in == CTL_IN_COLUMNS) {
        return v->type == EXAM_JSON_STRING ? ctl_line_add(p, v)
                                           : EXAM_ERR_BAD_TYPE;
    }

    if (p->in != CTL_IN_END || v->type != EXAM_JSON_INT) {
        return EXAM_ERR_BAD_TYPE;
    }

    for (i = 0; i < CTL_BACKUP_TABLES; i++) {
        if (exam_str_eq(v->key, ctl_str(ctl_backup_tables[i]))) {
            p->line->rows[i] = v->integer;
            p->line->counted |= 1u << i;
            return EXAM_OK;
        }
    }

    return EXAM_ERR_BAD_VALUE;
}


static exam_err_e
ctl_line_add(ctl_line_parse_t *p, const exam_json_value_t *v)
{
    ctl_value_t  *value;

    if (p->line->n == CTL_BACKUP_COLUMNS) {
        return EXAM_ERR_BAD_VALUE;
    }

    value = &p->line->values[p->line->n++];

    switch (v->type) {

    case EXAM_JSON_NULL:
        value->null = true;
        return EXAM_OK;

    case EXAM_JSON_INT:
        value->integer = true;
        value->number = v->integer;
        return EXAM_OK;

    case EXAM_JSON_STRING:
        return ctl_line_text(p, v, &value->text);

    default:
        return EXAM_ERR_BAD_TYPE;
    }
}


static exam_err_e
ctl_line_text(ctl_line_parse_t *p, const exam_json_value_t *v, exam_str_t *out)
{
    void  *copy;

    if (v->type != EXAM_JSON_STRING) {
        return EXAM_ERR_BAD_TYPE;
    }

    copy = exam_arena_alloc(p->arena, v->string.len + 1);

    if (copy == NULL) {
        return EXAM_ERR_TOO_LARGE;
    }

    memcpy(copy, v->string.data, v->string.len);
    *out = exam_str_make(copy, v->string.len);

    return EXAM_OK;
}
