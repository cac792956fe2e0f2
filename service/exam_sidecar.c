
/*
 * Side-cars and rows of recordings; see the header.  Members behind the
 * manifest's have the columns' names, null where the row has NULL.
 */


#include "exam_sidecar.h"


#define EXAM_STORE_DASH  33             /* "-" and 32 hex digits */


/* what stands behind the manifest's members */

typedef struct {
    exam_str_t        container;
    exam_str_t        video_codec;
    exam_str_t        audio_codec;
    exam_str_t        reason;
    int64_t           stored_at;
    int64_t           variant;
    int64_t           width;
    int64_t           height;
    int64_t           media_ms;
    int64_t           playable;
} exam_sidecar_raw_t;


static void exam_sidecar_text(exam_buf_t *b, const char *name,
    const char *value);
static void exam_sidecar_int(exam_buf_t *b, const char *name, int64_t value,
    bool known);
static void exam_sidecar_copy(char *to, exam_str_t from);
static void exam_recording_name(exam_stmt_t *s, unsigned i,
    const char *value);


#define exam_member(name, type, max)                                          \
    EXAM_JSON_MEMBER(exam_sidecar_raw_t, name, type, 0, max, true)


/* the first one tells a side-car from a manifest alone */

static const exam_json_member_t  exam_sidecar_members[] = {
    exam_member(stored_at, EXAM_JSON_INT, INT64_MAX),
    exam_member(container, EXAM_JSON_STRING, EXAM_MEDIA_NAME_MAX - 1),
    exam_member(video_codec, EXAM_JSON_STRING, EXAM_MEDIA_NAME_MAX - 1),
    exam_member(audio_codec, EXAM_JSON_STRING, EXAM_MEDIA_NAME_MAX - 1),
    exam_member(reason, EXAM_JSON_STRING, EXAM_MEDIA_REASON_MAX - 1),
    exam_member(variant, EXAM_JSON_INT, UINT8_MAX),
    exam_member(width, EXAM_JSON_INT, 65535),
    exam_member(height, EXAM_JSON_INT, 65535),
    exam_member(media_ms, EXAM_JSON_INT, INT64_MAX),
    exam_member(playable, EXAM_JSON_INT, 1)
};


void
exam_media_none(exam_media_t *media)
{
    memset(media, 0, sizeof(exam_media_t));

    media->media_ms = -1;
    media->playable = -1;
}


void
exam_sidecar_format(exam_buf_t *b, const exam_recording_t *r)
{
    const exam_media_t  *media;

    media = r->media;

    exam_manifest_format(b, r->m);

    if (b->overflow) {
        return;
    }

    /* "}\n" makes room for more members */

    b->pos -= 2;

    exam_sidecar_int(b, "stored_at", r->stored_at, true);
    exam_sidecar_int(b, "variant", r->variant, true);
    exam_sidecar_text(b, "path", r->path);
    exam_sidecar_text(b, "container", media->container);
    exam_sidecar_text(b, "video_codec", media->video_codec);
    exam_sidecar_text(b, "audio_codec", media->audio_codec);
    exam_sidecar_int(b, "width", media->width, media->width > 0);
    exam_sidecar_int(b, "height", media->height, media->height > 0);
    exam_sidecar_int(b, "media_ms", media->media_ms, media->media_ms >= 0);
    exam_sidecar_int(b, "playable", media->playable, media->playable >= 0);
    exam_sidecar_text(b, "reason", media->reason);

    exam_buf_lit(b, "}\n");
}


static void
exam_sidecar_text(exam_buf_t *b, const char *name, const char *value)
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
exam_sidecar_int(exam_buf_t *b, const char *name, int64_t value, bool known)
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
exam_sidecar_parse(exam_str_t file, exam_arena_t *arena, exam_sidecar_t *s)
{
    uint8_t             memory[EXAM_SIDECAR_ARENA];
    uint32_t            given;
    exam_err_e          err;
    exam_arena_t        texts;
    exam_sidecar_raw_t  raw;

    err = exam_manifest_parse(file, arena, &s->m);

    if (err != EXAM_OK) {
        return err;
    }

    if (!s->m.final) {
        return EXAM_ERR_BAD_VALUE;
    }

    memset(&raw, 0, sizeof(exam_sidecar_raw_t));
    raw.media_ms = -1;
    raw.playable = -1;
    raw.variant = -1;

    exam_arena_init(&texts, memory, sizeof(memory));

    err = exam_json_object(file, &texts, exam_json_table(exam_sidecar_members),
                           &raw, &given);

    if (err != EXAM_OK) {
        return err;
    }

    if ((given & 1) == 0) {
        return EXAM_ERR_MISSING_MEMBER;
    }

    exam_media_none(&s->media);

    exam_sidecar_copy(s->media.container, raw.container);
    exam_sidecar_copy(s->media.video_codec, raw.video_codec);
    exam_sidecar_copy(s->media.audio_codec, raw.audio_codec);
    exam_sidecar_copy(s->media.reason, raw.reason);

    s->media.width = (int32_t) raw.width;
    s->media.height = (int32_t) raw.height;
    s->media.media_ms = raw.media_ms;
    s->media.playable = (int32_t) raw.playable;
    s->stored_at = raw.stored_at;
    s->has_variant = raw.variant >= 0;
    s->variant = s->has_variant ? (uint32_t) raw.variant : 0;

    return EXAM_OK;
}


/* the table above has checked the length */

static void
exam_sidecar_copy(char *to, exam_str_t from)
{
    if (from.len != 0) {
        memcpy(to, from.data, from.len);
    }

    to[from.len] = '\0';
}


/* node and extension have no dash, the extension has no dot */

bool
exam_store_name_id(const char *name, char id[EXAM_UPLOAD_MAX + 1],
    bool *sidecar)
{
    size_t       len;
    const char  *end, *p;

    len = strlen(name);

    *sidecar = len > 5 && memcmp(name + len - 5, ".json", 5) == 0;

    if (*sidecar) {
        len -= 5;
    }

    end = memrchr(name, '.', len);

    if (end == NULL || end - name < EXAM_STORE_DASH) {
        return false;
    }

    p = end - EXAM_STORE_DASH;

    while (p > name && p[-1] != '-') {
        p--;
    }

    if (end - p > EXAM_UPLOAD_MAX
        || !exam_id_upload(exam_str_make(p, (size_t) (end - p))))
    {
        return false;
    }

    memcpy(id, p, (size_t) (end - p));
    id[end - p] = '\0';

    return true;
}


void
exam_recording_bind(exam_stmt_t *s, unsigned first, const exam_recording_t *r)
{
    unsigned                i;
    const exam_media_t     *media;
    const exam_manifest_t  *m;

    m = r->m;
    media = r->media;
    i = first;

    exam_stmt_text(s, i++, m->id);
    exam_stmt_text(s, i++, m->exam);
    exam_stmt_text(s, i++, m->student);
    exam_stmt_cstr(s, i++, r->sid);
    exam_stmt_text(s, i++, m->kind);
    exam_stmt_int(s, i++, m->n);
    exam_stmt_int(s, i++, r->variant);
    exam_stmt_int(s, i++, m->length);
    exam_stmt_blob(s, i++, m->sha256, EXAM_HASH_LEN);
    exam_stmt_text(s, i++, m->content_type);
    exam_stmt_known(s, i++, m->started_at, m->started_at >= 0);
    exam_stmt_known(s, i++, m->duration_ms, m->duration_ms >= 0);
    exam_stmt_known(s, i++, m->offset_ms, m->has_offset);
    exam_stmt_int(s, i++, m->received_at >= 0 ? m->received_at
                                              : r->stored_at);
    exam_stmt_int(s, i++, r->stored_at);
    exam_stmt_text(s, i++, m->node);
    exam_stmt_cstr(s, i++, "local");
    exam_stmt_cstr(s, i++, r->path);
    exam_recording_name(s, i++, media->container);
    exam_recording_name(s, i++, media->video_codec);
    exam_recording_name(s, i++, media->audio_codec);
    exam_stmt_known(s, i++, media->width, media->width > 0);
    exam_stmt_known(s, i++, media->height, media->height > 0);
    exam_stmt_known(s, i++, media->media_ms, media->media_ms >= 0);
    exam_stmt_known(s, i++, media->playable, media->playable >= 0);
    exam_recording_name(s, i++, media->reason);
}


static void
exam_recording_name(exam_stmt_t *s, unsigned i, const char *value)
{
    if (value[0] != '\0') {
        exam_stmt_cstr(s, i, value);
        return;
    }

    exam_stmt_null(s, i);
}
