
/*
 * Manifest of an upload: format(parse(x)) parses to the same, and what was
 * accepted gives names below spool and store only.
 */


#include "fuzz.h"

#include "exam_manifest.h"


#define FUZZ_ARENA      EXAM_MANIFEST_ARENA


static void fuzz_same(const exam_manifest_t *a, const exam_manifest_t *b);
static void fuzz_names(const exam_manifest_t *m);
static void fuzz_path(exam_str_t path, unsigned slashes);


#define fuzz_same_str(member)                                                 \
    fuzz_check(exam_str_eq(a->member, b->member), "the same " #member)
#define fuzz_same_int(member)                                                 \
    fuzz_check(a->member == b->member, "the same " #member)

static _Alignas(max_align_t) uint8_t  memory[FUZZ_ARENA];
static _Alignas(max_align_t) uint8_t  other[FUZZ_ARENA];


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t          text[EXAM_MANIFEST_MAX];
    exam_buf_t       b;
    exam_err_e       err;
    exam_str_t       file;
    exam_arena_t     arena;
    exam_manifest_t  in, out;

    if (size > EXAM_MANIFEST_MAX) {
        return 0;
    }

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_manifest_parse(exam_str_make(data, size), &arena, &in);

    if (err != EXAM_OK) {
        fuzz_check(fuzz_json_error(err), "an error of a manifest");
        return 0;
    }

    fuzz_check(!in.final || in.length == in.durable_offset,
               "a final manifest is whole");
    fuzz_check(in.n <= EXAM_SEGMENT_MAX, "n is within its range");

    exam_buf_init(&b, text, sizeof(text));
    exam_manifest_format(&b, &in);

    fuzz_check(!b.overflow, "a manifest fits its file");

    exam_arena_init(&arena, other, sizeof(other));
    file = fuzz_copy(fuzz_written(&b));

    fuzz_check(exam_manifest_parse(file, &arena, &out) == EXAM_OK,
               "what was accepted is accepted when written again");
    fuzz_same(&in, &out);
    fuzz_names(&in);

    fuzz_free(file);

    return 0;
}


static void
fuzz_same(const exam_manifest_t *a, const exam_manifest_t *b)
{
    fuzz_same_str(id);
    fuzz_same_str(exam);
    fuzz_same_str(student);
    fuzz_same_str(kind);
    fuzz_same_str(content_type);
    fuzz_same_str(node);
    fuzz_same_str(boot_id);
    fuzz_same_int(gen);
    fuzz_same_int(n);
    fuzz_same_int(length);
    fuzz_same_int(durable_offset);
    fuzz_same_int(final);
    fuzz_same_int(started_at);
    fuzz_same_int(duration_ms);
    fuzz_same_int(offset_ms);
    fuzz_same_int(has_offset);
    fuzz_same_int(received_at);
    fuzz_same_str(metadata);
    fuzz_same_int(protocol);
    fuzz_same_int(created_at);
    fuzz_same_int(checked);
    fuzz_same_int(expected);

    fuzz_check(memcmp(a->sid, b->sid, EXAM_SID_LEN) == 0, "the same session");
    fuzz_check(memcmp(a->sha256, b->sha256, EXAM_HASH_LEN) == 0,
               "the same hash");
    fuzz_check(memcmp(a->expected_sha256, b->expected_sha256, EXAM_HASH_LEN)
               == 0, "the same hash of what it will be");
}


static void
fuzz_names(const exam_manifest_t *m)
{
    char          name[EXAM_SPOOL_NAME_MAX];
    uint8_t       path[512];
    exam_buf_t    b;
    exam_spool_e  what;

    for (what = EXAM_SPOOL_PART; what <= EXAM_SPOOL_PART_GONE; what++) {
        fuzz_check(exam_spool_name(name, what, m->id),
                   "an upload has a name in the spool");
        fuzz_path(exam_str_make(name, strlen(name)),
                  what <= EXAM_SPOOL_PART_TMP
                  || what == EXAM_SPOOL_PART_GONE ? 2 : 1);
    }

    exam_buf_init(&b, path, sizeof(path));
    exam_store_name(&b, m, true);

    fuzz_check(!b.overflow, "a name in the store has its limits");
    fuzz_path(fuzz_written(&b), 2);
}


/* relative, of that many slashes, no component begins with a dot */

static void
fuzz_path(exam_str_t path, unsigned slashes)
{
    size_t    i;
    unsigned  n;

    for (i = 0, n = 0; i < path.len; i++) {

        if (i == 0 || path.data[i - 1] == '/') {
            fuzz_check(path.data[i] != '/' && path.data[i] != '.',
                       "no component is empty or begins with a dot");
        }

        fuzz_check(path.data[i] > 0x20 && path.data[i] < 0x7f,
                   "a path is printable ASCII");
        n += (path.data[i] == '/');
    }

    fuzz_check(path.len != 0 && path.data[path.len - 1] != '/'
               && n == slashes, "a path is as deep as it has to be");
}
