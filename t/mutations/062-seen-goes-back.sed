# an older beat lowers the last one
# file: core/exam_script.c
# test: unit/script_flush
s/'ZADD', SEEN, 'GT', 'CH'/'ZADD', SEEN, 'CH'/
