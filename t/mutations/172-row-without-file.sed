# a row is taken for its file
# file: examctl/ctl_audit.c
# test: t/examctl/100-audit.t
/^ctl_audit_unexplained/,/^}/s/|| (item->flags & CTL_AUDIT_FILE) == 0;/|| 0;/
