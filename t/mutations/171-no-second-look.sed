# what moves while the audit runs is unexplained
# file: examctl/ctl_audit.c
# test: t/examctl/100-audit.t
/^ctl_audit_again/,/^}/s/for (i = 0; i < a->n/for (i = a->n; i < a->n/
