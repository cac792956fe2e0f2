# a suspended candidate logs in
# file: core/exam_script.c
# test: unit/script_login
s/if bits % 2 == 1 then return/if bits < 0 then return/
