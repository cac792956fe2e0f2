# over HTTP/3 an upload's address has no port
# file: ngx_exam_module/ngx_http_exam_uploads.c
# test: t/clients/060-http3.t
s/r->http_version == NGX_HTTP_VERSION_30 && r->host_end/0 \&\& r->host_end/
