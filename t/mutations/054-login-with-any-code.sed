# a login with a wrong code is let in
# file: core/exam_script.c
# test: unit/script_login
s/if not person or person.code ~= code then/if not person then/
