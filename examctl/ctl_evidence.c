
/*
 * Commands that prove, mend and save what an exam leaves behind; a file each.
 */


#include "ctl.h"


const ctl_command_t  ctl_evidence_commands[] = {

    { "audit", "ID", 1,
      { { "follow", NULL }, { "list", NULL }, { "hash", NULL },
        { "json", NULL } },
      "Compares what was acknowledged with what is there.",
      "One line: acknowledged A = stored S + in spool P + bad B, unexplained"
      " U; and\nfurther figures.  A are the receipts in spool/journal (as long"
      " as journals are\nkept), each counted in one place only: stored = a row"
      " and its file, with the\nsize of the row; a double is stored, too, when"
      " the same content of its segment\nis stored under another upload id; in"
      " spool = on its way in part/, ready/ or\nwork/; bad = put aside in"
      " bad/.  A row whose file is missing is unexplained,\nwith receipt or"
      " without.  Uploads may go on meanwhile: a move between two\nlooks is no"
      " loss.\n\n"
      "An exam that several nodes serve has receipts on each: this is the"
      " audit of\nthis node's spool, store and rows.\n\n"
      "  --follow  the line again each second when it has changed, until"
      " SIGINT\n"
      "  --list    names what is unexplained\n"
      "  --hash    reads each stored file and compares its SHA-256\n\n"
      "Exit code 0 when unexplained is 0, else 1.\n",
      ctl_audit_exam },

    { "rebuild-index", "[ID]", 1, { { "dry-run", NULL } },
      "Makes the table recordings from the side-cars of the store.",
      "Of one exam, or of all.  Missing rows are added, wrong ones repaired and"
      " told\nwith the columns that were wrong; all columns but id are those"
      " that exam-worker\nwrote.  What cannot be made again is told and left:"
      " rows whose file is not\nthere, files without side-car.  Safe to run"
      " again, and beside exam-worker: an\nupload that is in ready/ or work/"
      " is left to it.  While no exam-worker runs,\none that is started"
      " meanwhile finds the spool in use.  Of this node's store and\nspool"
      " only; rows of other nodes are left as they are.\n\n"
      "  --dry-run  tells, changes nothing\n\n"
      "Exit code 1 when something could not be made again.\n",
      ctl_rebuild },

    { "backup", "FILE", 1, { { "no-keys", NULL }, { "force", NULL } },
      "Saves what cannot be made again from store and spool.",
      "All tables but recordings, in one snapshot, and the key file; FILE is"
      " text, a\nline of JSON each, with a checksum, readable by its owner"
      " only.  It holds access\ncodes and passwords as hashes, names, and the"
      " keys that sign tokens: keep it like\nthe key file.  Save the store and"
      " the spool beside it; recordings are made of\nthem by examctl"
      " rebuild-index.\n\n"
      "  --no-keys  without the key file\n"
      "  --force    replaces an older FILE\n",
      ctl_backup },

    { "restore", "FILE", 1, { { "replace", NULL } },
      "Brings back what examctl backup has saved.",
      "Into the database that examctl migrate has made, all or nothing: a file"
      " that is\ntorn or altered, or of a newer schema, is refused, and so is a"
      " database that is\nnot empty.  The key file is written where there is"
      " none.  Stop exam-worker and\nnginx first; then run examctl"
      " rebuild-index and start them.\n\n"
      "  --replace  removes what the tables have, and replaces the key file\n",
      ctl_restore },

    { .words = NULL }
};
