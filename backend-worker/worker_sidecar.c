
/*
 * The side-car: the manifest with what the worker found, one line of JSON.
 * File and side-car together are the record; the row in `recordings` can be
 * made of them again.  Members behind the manifest's have the columns' names.
 */


#include "worker.h"

#include <stddef.h>
#include <string.h>


/* what stands behind the manifest's members */

typedef struct {
    exam_str_t     container;
    exam_str_t     video_codec;
    exam_str_t     audio_codec;
    exam_str_t     reason;
    int64_t        stored_at;
    int64_t        width;
    int64_t        height;
    int64_t        media_ms;
    int64_t        playable;
} worker_sidecar_t;


typedef struct {
    exam_arena_t      arena;
    uint32_t          given;
    worker_sidecar_t  values;
} worker_sidecar_parse_t;


static void worker_sidecar_text(exam_buf_t *b, const char *name,
    const char *value);
static void worker_sidecar_int(exam_buf_t *b, const char *name, int64_t value,
    bool known);
static exam_err_e worker_sidecar_member(void *data,
    const exam_json_value_t *v);
static void worker_sidecar_copy(char *to, exam_str_t from);


#define worker_member(name, type, max)                                        \
    { { sizeof(#name) - 1, (const uint8_t *) #name }, type,                   \
      offsetof(worker_sidecar_t, name), 0, max, true }


static const exam_json_member_t  worker_members[] = {
    worker_member(container, EXAM_JSON_STRING, WORKER_NAME_MAX - 1),
    worker_member(video_codec, EXAM_JSON_STRING, WORKER_NAME_MAX - 1),
    worker_member(audio_codec, EXAM_JSON_STRING, WORKER_NAME_MAX - 1),
    worker_member(reason, EXAM_JSON_STRING, WORKER_REASON_MAX - 1),
    worker_member(stored_at, EXAM_JSON_INT, INT64_MAX),
    worker_member(width, EXAM_JSON_INT, 65535),
    worker_member(height, EXAM_JSON_INT, 65535),
    worker_member(media_ms, EXAM_JSON_INT, INT64_MAX),
    worker_member(playable, EXAM_JSON_INT, 1)
};


void
worker_sidecar_format(exam_buf_t *b, const worker_item_t *item)
{
    const worker_media_t  *media;

    media = &item->media;

    exam_manifest_format(b, &item->m);

    if (b->overflow) {
        return;
    }

    /* "}\n" makes room for more members */

    b->pos -= 2;

    worker_sidecar_int(b, "stored_at", item->stored_at, true);
    worker_sidecar_text(b, "path", item->path);
    worker_sidecar_text(b, "container", media->container);
    worker_sidecar_text(b, "video_codec", media->video_codec);
    worker_sidecar_text(b, "audio_codec", media->audio_codec);
    worker_sidecar_int(b, "width", media->width, media->width > 0);
    worker_sidecar_int(b, "height", media->height, media->height > 0);
    worker_sidecar_int(b, "media_ms", media->media_ms, media->media_ms >= 0);
    worker_sidecar_int(b, "playable", media->playable, media->playable >= 0);
    worker_sidecar_text(b, "reason", media->reason);

    exam_buf_lit(b, "}\n");
}


static void
worker_sidecar_text(exam_buf_t *b, const char *name, const char *value)
{
    exam_buf_char(b, ',');
    exam_buf_json(b, exam_str_make(name, strlen(name)));
    exam_buf_char(b, ':');

    if (value[0] == '\0') {
        exam_buf_lit(b, "null");
        return;
    }

    exam_buf_json(b, exam_str_make(value, strlen(value)));
}


static void
worker_sidecar_int(exam_buf_t *b, const char *name, int64_t value, bool known)
{
    exam_buf_char(b, ',');
    exam_buf_json(b, exam_str_make(name, strlen(name)));
    exam_buf_char(b, ':');

    if (!known) {
        exam_buf_lit(b, "null");
        return;
    }

    exam_buf_int(b, value);
}


exam_err_e
worker_sidecar_parse(worker_item_t *item, exam_str_t file)
{
    uint8_t                 memory[WORKER_ARENA];
    exam_err_e              err;
    exam_arena_t            arena;
    worker_media_t         *media;
    worker_sidecar_parse_t  p;

    exam_arena_init(&arena, item->arena, sizeof(item->arena));

    err = exam_manifest_parse(file, &arena, &item->m);

    if (err != EXAM_OK) {
        return err;
    }

    if (!item->m.final) {
        return EXAM_ERR_BAD_VALUE;
    }

    memset(&p, 0, sizeof(worker_sidecar_parse_t));
    p.values.media_ms = -1;
    p.values.playable = -1;

    exam_arena_init(&p.arena, memory, sizeof(memory));

    err = exam_json_parse(file, &p.arena, worker_sidecar_member, &p);

    if (err != EXAM_OK) {
        return err;
    }

    media = &item->media;
    worker_media_none(media);

    worker_sidecar_copy(media->container, p.values.container);
    worker_sidecar_copy(media->video_codec, p.values.video_codec);
    worker_sidecar_copy(media->audio_codec, p.values.audio_codec);
    worker_sidecar_copy(media->reason, p.values.reason);

    media->width = (int32_t) p.values.width;
    media->height = (int32_t) p.values.height;
    media->media_ms = p.values.media_ms;
    media->playable = (int32_t) p.values.playable;
    item->stored_at = p.values.stored_at;

    return EXAM_OK;
}


static exam_err_e
worker_sidecar_member(void *data, const exam_json_value_t *v)
{
    worker_sidecar_parse_t  *p;

    p = data;

    return exam_json_take(worker_members,
                          sizeof(worker_members) / sizeof(worker_members[0]),
                          v, &p->arena, &p->values, &p->given);
}


/* the table above has checked the length */

static void
worker_sidecar_copy(char *to, exam_str_t from)
{
    if (from.len != 0) {
        memcpy(to, from.data, from.len);
    }

    to[from.len] = '\0';
}
