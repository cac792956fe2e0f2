# a lower generation takes a session over
# file: core/exam_script.c
# test: unit/script_flush
s/if old and (old.gen > new.gen/if old and (old.gen < new.gen/
