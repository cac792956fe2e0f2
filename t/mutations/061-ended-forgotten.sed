# an ended session comes to life again
# file: core/exam_script.c
# test: unit/script_flush
s/if old.ended == '' and new.ended ~= '' then/if old.ended ~= new.ended then/
