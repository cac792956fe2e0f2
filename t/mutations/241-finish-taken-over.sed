# an upload that is being finished is taken over
# file: ngx_exam_module/ngx_http_exam_upload_part.c
# test: t/385-takeover.t
# proves: W2
s/ask->since <= u->since || u->eof$/ask->since <= u->since/
s/            && u->state != NGX_HTTP_EXAM_UPLOAD_RECEIVING))/            \&\& 0))/
