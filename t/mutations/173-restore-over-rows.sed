# a backup is restored into a database that has rows
# file: examctl/ctl_restore.c
# test: t/examctl/120-backup.t
/^ctl_restore_empty/,/^}/s/if (rc == EXAM_DB_OK) {/if (0) {/
/^ctl_restore_empty/,/^}/s/if (rc != EXAM_DB_END) {/if (rc != EXAM_DB_END \&\& rc != EXAM_DB_OK) {/
