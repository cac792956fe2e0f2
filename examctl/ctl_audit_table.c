
/*
 * The table of uploads of an audit: entries of 64 bytes in one block, chained
 * by a hash of the upload id, and the few names they refer to.
 */


#include "ctl_audit.h"

#include <stdlib.h>


#define CTL_AUDIT_FIRST  1024


static bool ctl_audit_key(exam_str_t id, uint8_t key[16]);
static uint32_t ctl_audit_head(const ctl_audit_t *a, const uint8_t key[16]);
static void ctl_audit_grow(ctl_audit_t *a);
static uint32_t ctl_names_slot(const ctl_names_t *names, exam_str_t name);
static void ctl_names_grow(ctl_names_t *names);


void
ctl_audit_table_init(ctl_audit_t *a)
{
    a->items = NULL;
    a->n = 0;
    a->max = 0;
    a->heads = NULL;
    a->nheads = 0;

    ctl_audit_grow(a);
}


void
ctl_audit_table_free(ctl_audit_t *a)
{
    free(a->items);
    free(a->heads);

    ctl_names_free(&a->students);
    ctl_names_free(&a->nodes);
    ctl_names_free(&a->kinds);
}


ctl_audit_item_t *
ctl_audit_find(const ctl_audit_t *a, exam_str_t id)
{
    uint8_t            key[16];
    uint32_t           i;

    if (!ctl_audit_key(id, key)) {
        return NULL;
    }

    for (i = a->heads[ctl_audit_head(a, key)]; i != CTL_AUDIT_NONE;
         i = a->items[i].next)
    {
        if (memcmp(a->items[i].id, key, sizeof(key)) == 0) {
            return &a->items[i];
        }
    }

    return NULL;
}


ctl_audit_item_t *
ctl_audit_add(ctl_audit_t *a, exam_str_t id)
{
    uint8_t            key[16];
    uint32_t          *head;
    exam_str_t         node;
    ctl_audit_item_t  *item;

    item = ctl_audit_find(a, id);

    if (item != NULL || !ctl_audit_key(id, key)) {
        return item;
    }

    if (a->n == a->max) {
        ctl_audit_grow(a);
    }

    head = &a->heads[ctl_audit_head(a, key)];
    item = &a->items[a->n];

    memset(item, 0, sizeof(ctl_audit_item_t));
    memcpy(item->id, key, sizeof(key));

    node = exam_str_make(id.data, id.len - EXAM_SID_HEX - 1);

    item->node = (uint8_t) ctl_names_put(&a->nodes, node);
    item->next = *head;
    *head = a->n++;

    return item;
}


static bool
ctl_audit_key(exam_str_t id, uint8_t key[16])
{
    return exam_id_upload(id)
           && exam_hex_decode(id.data + id.len - EXAM_SID_HEX, EXAM_SID_HEX,
                              key, 16);
}


/* the id is random enough to be its own hash */

static uint32_t
ctl_audit_head(const ctl_audit_t *a, const uint8_t key[16])
{
    uint64_t  x, y;

    memcpy(&x, key, sizeof(x));
    memcpy(&y, key + sizeof(x), sizeof(y));

    x = (x ^ y) * 0x9e3779b97f4a7c15u;

    return (uint32_t) (x >> 32) & (a->nheads - 1);
}


static void
ctl_audit_grow(ctl_audit_t *a)
{
    uint32_t  i, *head;

    a->max = a->max == 0 ? CTL_AUDIT_FIRST : a->max * 2;
    a->nheads = a->max;

    a->items = ctl_alloc(a->items, a->max, sizeof(ctl_audit_item_t));
    a->heads = ctl_alloc(a->heads, a->nheads, sizeof(uint32_t));

    memset(a->heads, 0xff, a->nheads * sizeof(uint32_t));

    for (i = 0; i < a->n; i++) {
        head = &a->heads[ctl_audit_head(a, a->items[i].id)];
        a->items[i].next = *head;
        *head = i;
    }
}


void
ctl_audit_segment(ctl_audit_t *a, ctl_audit_item_t *item, exam_str_t student,
    const uint8_t sid[EXAM_SID_LEN], exam_str_t kind, uint32_t n)
{
    memcpy(item->sid, sid, EXAM_SID_LEN);

    item->student = ctl_names_put(&a->students, student);
    item->kind = (uint8_t) ctl_names_put(&a->kinds, kind);
    item->n = n;
}


void
ctl_audit_id(const ctl_audit_t *a, const ctl_audit_item_t *item,
    char out[EXAM_UPLOAD_MAX + 1])
{
    size_t       len;
    exam_buf_t   b;
    const char  *node;

    node = a->nodes.names[item->node];
    len = strlen(node);

    exam_buf_init(&b, out, EXAM_UPLOAD_MAX + 1);
    exam_buf_put(&b, node, len);
    exam_buf_char(&b, '-');
    exam_buf_hex(&b, item->id, sizeof(item->id));

    (void) exam_buf_cstr(&b);
}


/* nodes and kinds are few: 256 of them would be somebody else's spool */

uint32_t
ctl_names_put(ctl_names_t *names, exam_str_t name)
{
    uint32_t  slot;

    if ((names->n + 1) * 2 > names->slots) {
        ctl_names_grow(names);
    }

    slot = ctl_names_slot(names, name);

    if (names->index[slot] == 0) {
        names->names = ctl_alloc(names->names, names->n + 1, sizeof(char *));
        names->names[names->n] = ctl_dup(name);
        names->index[slot] = ++names->n;
    }

    return names->index[slot] - 1;
}


bool
ctl_names_has(const ctl_names_t *names, exam_str_t name)
{
    return names->n != 0 && names->index[ctl_names_slot(names, name)] != 0;
}


static uint32_t
ctl_names_slot(const ctl_names_t *names, exam_str_t name)
{
    size_t       i;
    uint32_t     hash, slot;
    const char  *have;

    hash = 2166136261u;

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ name.data[i]) * 16777619u;
    }

    for (slot = hash & (names->slots - 1); names->index[slot] != 0;
         slot = (slot + 1) & (names->slots - 1))
    {
        have = names->names[names->index[slot] - 1];

        if (exam_str_eq(name, ctl_str(have))) {
            break;
        }
    }

    return slot;
}


static void
ctl_names_grow(ctl_names_t *names)
{
    uint32_t  i;

    names->slots = names->slots == 0 ? 64 : names->slots * 2;
    names->index = ctl_alloc(names->index, names->slots, sizeof(uint32_t));

    memset(names->index, 0, names->slots * sizeof(uint32_t));

    for (i = 0; i < names->n; i++) {
        names->index[ctl_names_slot(names, ctl_str(names->names[i]))] = i + 1;
    }
}


void
ctl_names_free(ctl_names_t *names)
{
    uint32_t  i;

    for (i = 0; i < names->n; i++) {
        free(names->names[i]);
    }

    free(names->names);
    free(names->index);
    memset(names, 0, sizeof(ctl_names_t));
}
