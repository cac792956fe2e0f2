# recovery removes what only lacks its commit mark
# file: ngx_exam_module/ngx_http_exam_recovery.c
# test: t/330-spool.t
s/^    if (final == 1) {/    if (final == 2) {/
s/} else if (final == 0$/} else if (final >= 0/
/^ngx_http_exam_recovery_ready/,/^}/s/^        if (part) {/        if (part \&\& 0) {/
