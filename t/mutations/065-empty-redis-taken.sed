# an emptied Redis is taken for a loaded one
# file: core/exam_script.c
# test: unit/script_login
/^static const char  exam_script_login/,/^static const char  exam_script_logout/s/redis.call('EXISTS', LOADED) == 0/false/
