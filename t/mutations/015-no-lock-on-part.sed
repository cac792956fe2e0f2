# a part file is not locked by its owner
# file: ngx_exam_module/ngx_http_exam_writer.c
# test: t/330-spool.t
s/wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl) == 0/wait ? F_OFD_GETLK : F_OFD_GETLK, \&fl) == 0/
