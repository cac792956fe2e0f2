# a login does not outrank the session before it
# file: core/exam_script.c
# test: unit/script_login
s/old and old.gen + 1 or 0)/0)/
