# the commit mark comes before the file
# file: ngx_exam_module/ngx_http_exam_writer.c
# test: t/320-put-disk.t
s/(w, EXAM_SPOOL_PART, EXAM_SPOOL_REC)/(w, EXAM_SPOOL_PART_INFO, EXAM_SPOOL_X)/
s/(w, EXAM_SPOOL_PART_INFO, EXAM_SPOOL_INFO)/(w, EXAM_SPOOL_PART, EXAM_SPOOL_REC)/
s/EXAM_SPOOL_X/EXAM_SPOOL_INFO/
