# an empty attachment is refused
# file: ngx_exam_module/ngx_http_exam_intake.c
# test: t/346-attachments.t
# proves: T22
s/u->writer.offset == 0 \&\& in->seg.kind != EXAM_KIND_FILE/u->writer.offset == 0/
