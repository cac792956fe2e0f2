
/*
 * examctl rebuild-index: what its two files share.  The store is read a student
 * at a time; the rows of that student are made right in one transaction, so an
 * exam-worker beside it is held up for moments only, and a rebuild that is
 * broken off has done whole students.
 *
 *   ctl_rebuild.c       the command, the walk through the store
 *   ctl_rebuild_rows.c  side-cars against rows
 */


#ifndef CTL_REBUILD_H_INCLUDED
#define CTL_REBUILD_H_INCLUDED


#include "ctl_audit.h"


/* a recording as its side-car tells it */

typedef struct {
    exam_sidecar_t   s;
    char            *memory;        /* owned: its strings */
    char             sid[EXAM_SID_HEX + 1];
    char             path[EXAM_STORE_PATH_MAX];
    uint32_t         variant;
    bool             fixed;         /* variant is settled */
    bool             working;       /* its manifest is in work/ */
    bool             left;          /* to exam-worker */
    bool             row;           /* the table has one */
    uint32_t         differs;       /* a bit for each column that is wrong */
} ctl_rebuild_rec_t;


typedef struct {
    ctl_t              *ctl;
    bool                dry;
    bool                alone;      /* no exam-worker has the spool */
    int                 spool;
    int                 store;

    exam_str_t          exam;       /* of the folder being read */
    exam_str_t          student;
    ctl_rebuild_rec_t  *recs;       /* of that student */
    size_t              n;
    size_t              max;
    ctl_names_t         files;      /* names in that folder, */
    ctl_names_t         told;       /* and those that have a side-car */

    exam_stmt_t         slots;
    exam_stmt_t         rows;
    exam_stmt_t         insert;
    exam_stmt_t         remove;

    uint64_t            sidecars;
    uint64_t            right;
    uint64_t            added;
    uint64_t            repaired;
    uint64_t            left;
    uint64_t            refused;    /* by the table */
    uint64_t            unusable;   /* side-cars */
    uint64_t            bare;       /* files without side-car */
    uint64_t            missing;    /* side-cars without file */
    uint64_t            stale;      /* rows without file */
} ctl_rebuild_t;


/* ctl_rebuild_rows.c: makes the rows of the student right, or only tells */

EXAM_MUST_CHECK ctl_rc_e ctl_rebuild_rows(ctl_rebuild_t *r);


#endif /* CTL_REBUILD_H_INCLUDED */
