# a number that came again is asked for on
# file: core/exam_script.c
# test: unit/script_flush
s/if was == 'refused' or state == 'refused' then/if state == 'refused' then/
