
/*
 * examctl audit: what its files share.  One table holds everything that was
 * seen of each upload of the exam; at the end of a pass each upload falls into
 * one class.
 *
 * An upload moves one way only: part, ready, work, store and table, or bad; and
 * what it moves to is there before what it leaves is gone.  So the pass reads
 * in that order, receipts first, and sees each upload at least once.  What is
 * still unexplained, or a file that has no row, is looked up once more by name,
 * in the same order: a move between two reads explains nothing away, and shows
 * nothing that is not so.
 *
 *   ctl_audit.c        the command, a pass, the line
 *   ctl_audit_table.c  the table
 *   ctl_audit_spool.c  journals and manifests
 *   ctl_audit_store.c  rows and files
 */


#ifndef CTL_AUDIT_H_INCLUDED
#define CTL_AUDIT_H_INCLUDED


#include "ctl.h"
#include "exam_sidecar.h"

#include <dirent.h>


/* what was seen of an upload; all but the first anew in each pass */

#define CTL_AUDIT_RECEIPT  0x01
#define CTL_AUDIT_SPOOL    0x02     /* manifest and file on their way */
#define CTL_AUDIT_BAD      0x04     /* in bad/, with its file */
#define CTL_AUDIT_ROW      0x08
#define CTL_AUDIT_FILE     0x10     /* of that row, as the row says */
#define CTL_AUDIT_WRONG    0x20     /* ...there, but of other size or hash */
#define CTL_AUDIT_DOUBLE   0x40     /* same content under another upload id */
#define CTL_AUDIT_LOOSE    0x80     /* a file of the store, no row yet */
#define CTL_AUDIT_AGAIN    0x100    /* ...there at the second look, too */

#define CTL_AUDIT_NONE     UINT32_MAX


/*
 * 64 bytes, since there may be millions.  The node is left out of the identity:
 * the other part of an upload id is 128 random bits.  Of the hash, eight bytes
 * tell as much as is needed to know a double from other content.
 */

typedef struct {
    uint8_t    id[16];
    uint8_t    sid[EXAM_SID_LEN];
    uint8_t    sha256[8];
    int64_t    bytes;
    uint32_t   n;
    uint32_t   student;             /* place among the names */
    uint32_t   next;                /* of the same hash */
    uint8_t    node;                /* place among the nodes, kinds */
    uint8_t    kind;
    uint16_t   flags;
} ctl_audit_item_t;


typedef struct {
    char     **names;
    uint32_t   n;
    uint32_t  *index;               /* place + 1, 0 = free */
    uint32_t   slots;               /* a power of two */
} ctl_names_t;


typedef struct {
    char       name[NAME_MAX + 1];
    off_t      offset;              /* of the first line not read */
    bool       skip;                /* within a line that is too long */
} ctl_journal_t;


typedef struct {
    uint64_t   acknowledged;
    uint64_t   bytes;               /* of the receipts */
    uint64_t   stored;
    uint64_t   spool;
    uint64_t   bad;
    uint64_t   unexplained;
    uint64_t   doubles;             /* of the stored ones */
    uint64_t   unreceipted;         /* rows without receipt */
    uint64_t   missing;             /* rows without file */
    uint64_t   wrong;               /* rows with another file */
    uint64_t   loose;               /* files without row */
    uint64_t   refused;             /* in bad/, with receipt or without */
    uint64_t   lost;                /* given up by their client */
    uint64_t   damaged;             /* lines of journals */
} ctl_audit_figures_t;


typedef struct {
    ctl_t               *ctl;
    exam_str_t           exam;
    bool                 hash;
    int                  spool;
    int                  store;

    ctl_audit_item_t    *items;
    uint32_t             n;
    uint32_t             max;
    uint32_t            *heads;     /* of the chains */
    uint32_t             nheads;    /* a power of two */
    ctl_names_t          students;
    ctl_names_t          nodes;
    ctl_names_t          kinds;

    ctl_journal_t       *journals;
    size_t               njournals;
    uint64_t             damaged;

    exam_stmt_t          rows;
    exam_stmt_t          find;
    exam_stmt_t          same;
} ctl_audit_t;


/* ctl_audit_table.c */

void ctl_audit_table_init(ctl_audit_t *a);
void ctl_audit_table_free(ctl_audit_t *a);

/* the upload's entry, NULL: none, or not an upload id */

ctl_audit_item_t *ctl_audit_find(const ctl_audit_t *a, exam_str_t id);

/* the same, made when there is none; NULL for a bad id only */

ctl_audit_item_t *ctl_audit_add(ctl_audit_t *a, exam_str_t id);

/* what a manifest, receipt or row says of it */

void ctl_audit_segment(ctl_audit_t *a, ctl_audit_item_t *item,
    exam_str_t student, const uint8_t sid[EXAM_SID_LEN], exam_str_t kind,
    uint32_t n);

void ctl_audit_id(const ctl_audit_t *a, const ctl_audit_item_t *item,
    char out[EXAM_UPLOAD_MAX + 1]);

uint32_t ctl_names_put(ctl_names_t *names, exam_str_t name);
bool ctl_names_has(const ctl_names_t *names, exam_str_t name);
void ctl_names_free(ctl_names_t *names);


/* ctl_audit_spool.c: OK, or FAILED with a message */

/* what was written to the journals since the last call */

EXAM_MUST_CHECK ctl_rc_e ctl_audit_journals(ctl_audit_t *a);
EXAM_MUST_CHECK ctl_rc_e ctl_audit_spool(ctl_audit_t *a);

/* one upload by its name: flags SPOOL or BAD, or 0 */

unsigned ctl_audit_where(ctl_audit_t *a, exam_str_t id);


/* ctl_audit_store.c */

EXAM_MUST_CHECK exam_db_e ctl_audit_rows(ctl_audit_t *a);

/* each file of the exam without a row becomes `flag` */

EXAM_MUST_CHECK ctl_rc_e ctl_audit_files(ctl_audit_t *a, unsigned flag);

/* the second look at up to CTL_AUDIT_LOOK uploads */

#define CTL_AUDIT_LOOK  64

EXAM_MUST_CHECK exam_db_e ctl_audit_look(ctl_audit_t *a,
    const uint32_t *which, unsigned n);


/* calls back with each entry but those that begin with a dot; 0 or errno */

typedef ctl_rc_e (*ctl_dir_pt)(void *data, int fd, const char *name);

EXAM_MUST_CHECK ctl_rc_e ctl_dir_each(int at, const char *name,
    ctl_dir_pt each, void *data);


#endif /* CTL_AUDIT_H_INCLUDED */
