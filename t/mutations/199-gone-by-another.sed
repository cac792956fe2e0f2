# an upload that has gone takes back the entry of another
# file: core/exam_script.c
# test: unit/script_settle
# proves: W6
s/if was == 'receiving' and by == upload then/if was == 'receiving' then/
