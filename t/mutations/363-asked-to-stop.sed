# over HTTP/3 a client is asked to stop when it has an answer
# file: ngx_exam_module/ngx_http_exam_linger.c
# test: t/clients/060-http3.t
s/if (r->http_version != NGX_HTTP_VERSION_30/if (1/
