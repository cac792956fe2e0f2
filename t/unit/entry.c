
/*
 * Entries of the control stream as nodes read them: what is whole, and what is
 * wrong with what is not.
 */


#include "tap.h"

#include "exam_entry.h"


#define MEMBERS  9


typedef struct {
    const char  *fields[2 * MEMBERS];
    const char  *wrong;             /* NULL: it is sound */
} row_t;


static const char *judge(exam_entry_t *e, const char *const *fields);
static void test_rows(void);
static void test_send(void);
static void test_limits(void);
static void test_ids(void);


static const row_t  rows[] = {
    { { "op", "cancel", "id", "7" }, NULL },
    { { "op", "sent", "id", "7", "node", "n1", "students", "S1 S2" }, NULL },
    { { "op", "ack", "id", "7", "node", "n1", "students", "S1" }, NULL },
    { { "op", "end", "student", "S1", "session", "x", "reason", "forced" },
      NULL },
    { { "op", "exam" }, NULL },
    { { "op", "exam", "student", "S1" }, NULL },
    { { "op", "roster" }, NULL },
    { { "op", "roster", "later", "x" }, NULL },
    { { "op", "send", "id", "7", "type", "message", "payload", "{}",
        "expires_at", "1", "to", "all" }, NULL },
    { { "op", "send", "id", "7", "type", "message", "payload", "{}",
        "expires_at", "1", "to", "list", "students", "S1" }, NULL },

    { { NULL }, "unknown op" },
    { { "op", "" }, "unknown op" },
    { { "op", "sends" }, "unknown op" },
    { { "id", "7" }, "unknown op" },
    { { "op", "cancel" }, "no id" },
    { { "op", "cancel", "id", "0" }, "no id" },
    { { "op", "cancel", "id", "-1" }, "no id" },
    { { "op", "cancel", "id", "07" }, "no id" },
    { { "op", "cancel", "id", "9007199254740992" }, "no id" },
    { { "op", "ack", "id", "7" }, "no students" },
    { { "op", "ack", "id", "7", "students", "" }, "no students" },
    { { "op", "ack", "students", "S1" }, "no id" },
    { { "op", "ack", "id", "7", "students", " S1" }, "malformed student" },
    { { "op", "ack", "id", "7", "students", "S1 " }, "malformed student" },
    { { "op", "ack", "id", "7", "students", "S1  S2" }, "malformed student" },
    { { "op", "ack", "id", "7", "students", "S1,S2" }, "malformed student" },
    { { "op", "end" }, "no student" },
    { { "op", "end", "student", "../x" }, "no student" },
    { { "op", "exam", "student", "a b" }, "no student" },
    { { "op", "send", "id", "7", "payload", "{}", "expires_at", "1",
        "to", "all" }, "no type" },
    { { "op", "send", "id", "7", "type", "a\"b", "payload", "{}",
        "expires_at", "1", "to", "all" }, "no type" },
    { { "op", "send", "id", "7", "type", "sixteen_letters_", "payload", "{}",
        "expires_at", "1", "to", "all" }, "no type" },
    { { "op", "send", "id", "7", "type", "lock", "payload", "{}",
        "to", "all" }, "no expires_at" },
    { { "op", "send", "id", "7", "type", "lock", "payload", "{}",
        "expires_at", "0", "to", "all" }, "no expires_at" },
    { { "op", "send", "id", "7", "type", "lock", "expires_at", "1",
        "to", "all" }, "payload is no JSON object" },
    { { "op", "send", "id", "7", "type", "lock", "payload", "[]",
        "expires_at", "1", "to", "all" }, "payload is no JSON object" },
    { { "op", "send", "id", "7", "type", "lock", "payload", "7",
        "expires_at", "1", "to", "all" }, "payload is no JSON object" },
    { { "op", "send", "id", "7", "type", "lock", "payload", "{}}",
        "expires_at", "1", "to", "all" }, "payload is no JSON object" },
    { { "op", "send", "id", "7", "type", "lock", "payload", "{\"a\":\"\xff\"}",
        "expires_at", "1", "to", "all" }, "payload is no JSON object" },
    { { "op", "send", "id", "7", "type", "lock", "payload", "{}",
        "expires_at", "1" }, "no to" },
    { { "op", "send", "id", "7", "type", "lock", "payload", "{}",
        "expires_at", "1", "to", "some", "students", "S1" }, "no to" },
    { { "op", "send", "id", "7", "type", "lock", "payload", "{}",
        "expires_at", "1", "to", "list" }, "no students" }
};


int
main(void)
{
    test_rows();
    test_send();
    test_limits();
    test_ids();

    return tap_done();
}


static const char *
judge(exam_entry_t *e, const char *const *fields)
{
    size_t  i;

    exam_entry_init(e);

    for (i = 0; i < 2 * MEMBERS && fields[i] != NULL; i += 2) {
        exam_entry_field(e, exam_str_make(fields[i], strlen(fields[i])),
                         exam_str_make(fields[i + 1], strlen(fields[i + 1])));
    }

    return exam_entry_check(e);
}


static void
test_rows(void)
{
    size_t        i;
    const char   *wrong;
    exam_entry_t  e;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        wrong = judge(&e, rows[i].fields);

        if (rows[i].wrong == NULL) {
            tap_ok(wrong == NULL, "row %zu is sound", i);

        } else {
            tap_ok(wrong != NULL && strcmp(wrong, rows[i].wrong) == 0,
                   "row %zu: %s", i, rows[i].wrong);
        }
    }
}


static void
test_send(void)
{
    exam_entry_t  e;

    static const char *const  list[] = {
        "op", "send", "id", "9007199254740991", "type", "extra_time",
        "payload", " {\"seconds\":\n60} ", "expires_at", "1763650000000",
        "to", "list", "students", "S1 a.b@c-d", NULL
    };

    static const char *const  twice[] = {
        "op", "cancel", "op", "exam", "student", "S1", "student", "S2", NULL
    };

    tap_ok(judge(&e, list) == NULL && e.op == EXAM_ENTRY_SEND
           && e.id == EXAM_COMMAND_ID_MAX && e.expires_at == 1763650000000
           && !e.all && e.n == 2
           && exam_str_eq(e.type, exam_str("extra_time"))
           && exam_str_eq(e.payload, exam_str(" {\"seconds\":\n60} "))
           && exam_str_eq(e.students[0], exam_str("S1"))
           && exam_str_eq(e.students[1], exam_str("a.b@c-d")),
           "a command to two students");

    tap_ok(judge(&e, twice) == NULL && e.op == EXAM_ENTRY_EXAM && e.n == 1
           && exam_str_eq(e.students[0], exam_str("S2")),
           "of two fields the last one counts");

    tap_ok(exam_command_lasts(exam_str("lock"))
           && exam_command_lasts(exam_str("unlock"))
           && exam_command_lasts(exam_str("pause"))
           && exam_command_lasts(exam_str("resume"))
           && exam_command_lasts(exam_str("extra_time"))
           && exam_command_lasts(exam_str("finish")), "these change a state");

    tap_ok(!exam_command_lasts(exam_str("message"))
           && !exam_command_lasts(exam_str("upload_now"))
           && !exam_command_lasts(exam_str("")), "those do not");
}


static void
test_limits(void)
{
    size_t        i;
    const char   *wrong;
    exam_entry_t  e;

    static char   payload[EXAM_COMMAND_PAYLOAD_MAX + 2];
    static char   students[(EXAM_ENTRY_STUDENTS + 1) * 5];

    const char   *send[] = {
        "op", "send", "id", "7", "type", "message", "payload", payload,
        "expires_at", "1", "to", "all", NULL
    };

    const char   *ack[] = { "op", "ack", "id", "7", "students", students,
                            NULL };

    memset(payload, ' ', EXAM_COMMAND_PAYLOAD_MAX);
    memcpy(payload, "{}", 2);
    tap_ok(judge(&e, send) == NULL, "a payload of 2 KB");

    payload[EXAM_COMMAND_PAYLOAD_MAX] = ' ';
    wrong = judge(&e, send);
    tap_ok(wrong != NULL && strcmp(wrong, "payload too long") == 0,
           "and of a byte more");

    for (i = 0; i < EXAM_ENTRY_STUDENTS; i++) {
        sprintf(students + 5 * i, "S%03zu ", i);
    }

    students[5 * i - 1] = '\0';
    tap_ok(judge(&e, ack) == NULL && e.n == EXAM_ENTRY_STUDENTS,
           "200 students");

    strcat(students, " x");
    wrong = judge(&e, ack);
    tap_ok(wrong != NULL && strcmp(wrong, "too many students") == 0,
           "and one more");
}


static void
test_ids(void)
{
    uint64_t  ms, seq;

    tap_ok(exam_entry_id_parse(exam_str("1763650000000-3"), &ms, &seq)
           && ms == 1763650000000 && seq == 3, "a stream's id");
    tap_ok(exam_entry_id_parse(exam_str("18446744073709551615-"
                                        "18446744073709551615"), &ms, &seq)
           && ms == UINT64_MAX && seq == UINT64_MAX, "the highest one");
    tap_ok(!exam_entry_id_parse(exam_str("1"), &ms, &seq), "no dash");
    tap_ok(!exam_entry_id_parse(exam_str("1-"), &ms, &seq), "no number");
    tap_ok(!exam_entry_id_parse(exam_str("-1"), &ms, &seq), "no time");
    tap_ok(!exam_entry_id_parse(exam_str(""), &ms, &seq), "nothing");
}
