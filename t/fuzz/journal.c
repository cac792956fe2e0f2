
/*
 * Records of the journal.  The first byte chooses:
 *
 *   0  the rest as a line
 *   1  the rest as the JSON of a line, its CRC is made here
 *   2  the rest as the name of a journal's file
 *
 * What is accepted, written again, parses to the same, and no change of any bit
 * of a line is accepted.
 */


#include "fuzz.h"

#include "exam_crc32c.h"
#include "exam_journal.h"


#define FUZZ_ARENA      65536


static void fuzz_line(exam_str_t line);
static void fuzz_json(exam_str_t json);
static void fuzz_same(const exam_record_t *a, const exam_record_t *b);
static void fuzz_changed(exam_str_t line);
static void fuzz_name(exam_str_t name);


#define fuzz_same_str(member)                                                 \
    fuzz_check(exam_str_eq(a->member, b->member), "the same " #member)
#define fuzz_same_int(member)                                                 \
    fuzz_check(a->member == b->member, "the same " #member)

static _Alignas(max_align_t) uint8_t  memory[FUZZ_ARENA];
static _Alignas(max_align_t) uint8_t  other[FUZZ_ARENA];


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    exam_str_t  rest;

    if (size == 0 || size > EXAM_RECORD_MAX) {
        return 0;
    }

    rest = fuzz_copy(exam_str_make(data + 1, size - 1));

    switch (data[0] % 3) {

    case 0:
        fuzz_line(rest);
        break;

    case 1:
        fuzz_json(rest);
        break;

    case 2:
        fuzz_name(rest);
        break;
    }

    fuzz_free(rest);

    return 0;
}


static void
fuzz_line(exam_str_t line)
{
    uint8_t        text[EXAM_RECORD_MAX];
    exam_buf_t     b;
    exam_err_e     err;
    exam_str_t     copy;
    exam_arena_t   arena;
    exam_record_t  in, out;

    if (fuzz_has(line, '\n')) {
        return;                     /* that were two lines */
    }

    exam_arena_init(&arena, memory, sizeof(memory));
    err = exam_record_parse(line, &arena, &in);

    if (err != EXAM_OK) {
        fuzz_check(err == EXAM_ERR_BAD_REQUEST || fuzz_json_error(err),
                   "an error of a record");
        return;
    }

    fuzz_check((unsigned) in.type < EXAM_RECORD_TYPES, "a type there is");
    fuzz_check(in.type == EXAM_RECORD_OUTAGE
               || (exam_id_exam(in.exam) && exam_id_student(in.student)),
               "accepted ids have their alphabets");
    fuzz_check(in.data.len <= EXAM_EVENT_DATA_MAX, "data has its limit");

    fuzz_changed(line);

    exam_buf_init(&b, text, sizeof(text));
    exam_record_format(&b, &in);

    if (b.overflow) {
        fuzz_check(line.len > EXAM_RECORD_MAX / 2 && exam_buf_len(&b) == 0,
                   "a part of a line is none");
        return;
    }

    copy = fuzz_written(&b);

    fuzz_check(copy.len > 1 && copy.data[copy.len - 1] == '\n',
               "a line has its end");

    copy.len--;
    fuzz_check(!fuzz_has(copy, '\n'), "a record is one line");

    copy = fuzz_copy(copy);
    exam_arena_init(&arena, other, sizeof(other));

    fuzz_check(exam_record_parse(copy, &arena, &out) == EXAM_OK,
               "what was accepted is accepted when written again");
    fuzz_same(&in, &out);

    fuzz_free(copy);
}


static void
fuzz_json(exam_str_t json)
{
    char        crc[16];
    uint8_t     text[EXAM_RECORD_MAX + 16];
    exam_buf_t  b;
    exam_str_t  line;

    snprintf(crc, sizeof(crc), "%08" PRIx32 " ",
             exam_crc32c(0, json.data, json.len));

    exam_buf_init(&b, text, sizeof(text));
    exam_buf_put(&b, crc, 9);
    exam_buf_put(&b, json.data, json.len);

    line = fuzz_copy(fuzz_written(&b));
    fuzz_line(line);
    fuzz_free(line);
}


static void
fuzz_same(const exam_record_t *a, const exam_record_t *b)
{
    fuzz_same_int(type);
    fuzz_same_int(at);
    fuzz_same_str(node);
    fuzz_same_str(exam);
    fuzz_same_str(student);
    fuzz_same_int(gen);
    fuzz_same_str(ip);
    fuzz_same_int(login_at);
    fuzz_same_int(ended);
    fuzz_same_int(from);
    fuzz_same_int(to);
    fuzz_same_int(gap_ms);
    fuzz_same_int(seq);
    fuzz_same_int(cause);
    fuzz_same_int(missed);
    fuzz_same_str(what);
    fuzz_same_int(command);
    fuzz_same_str(event);
    fuzz_same_str(name);
    fuzz_same_int(client_time);
    fuzz_same_int(offset_ms);
    fuzz_same_int(has_offset);
    fuzz_same_str(data);
    fuzz_same_str(upload);
    fuzz_same_str(kind);
    fuzz_same_int(n);
    fuzz_same_int(bytes);
    fuzz_same_str(reason);

    fuzz_check(memcmp(a->sid, b->sid, EXAM_SID_LEN) == 0, "the same session");
    fuzz_check(memcmp(a->sha256, b->sha256, EXAM_HASH_LEN) == 0,
               "the same hash");
}


/* torn, or with another bit: never acknowledged to anybody */

static void
fuzz_changed(exam_str_t line)
{
    size_t         bit;
    uint8_t       *p;
    exam_str_t     copy;
    exam_arena_t   arena;
    exam_record_t  out;

    bit = line.len * 2654435761u % (line.len * 8);

    copy = fuzz_copy(line);
    p = (uint8_t *) (uintptr_t) copy.data;
    p[bit / 8] ^= (uint8_t) (1u << bit % 8);

    exam_arena_init(&arena, other, sizeof(other));
    fuzz_check(exam_record_parse(copy, &arena, &out) == EXAM_ERR_BAD_REQUEST,
               "a line with another bit is none");
    fuzz_free(copy);

    copy = fuzz_copy(exam_str_make(line.data, line.len - 1));

    exam_arena_init(&arena, other, sizeof(other));
    fuzz_check(exam_record_parse(copy, &arena, &out) == EXAM_ERR_BAD_REQUEST,
               "a line that is torn is none");
    fuzz_free(copy);
}


static void
fuzz_name(exam_str_t name)
{
    char        again[EXAM_JOURNAL_NAME_MAX];
    uint64_t    pid, n;
    exam_str_t  boot;

    if (!exam_journal_name_parse(name, &boot, &pid, &n)) {
        return;
    }

    fuzz_check(exam_journal_name(again, boot, pid, n)
               && exam_str_eq(name, exam_str_make(again, strlen(again))),
               "a file's name has one spelling");
    fuzz_check(!fuzz_has(name, '/') && name.data[0] != '.',
               "a file's name is no path");
}
