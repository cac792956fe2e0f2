# a shard torn by a crash is used as it is
# file: ngx_exam_module/ngx_http_exam_zone.c
# test: t/195-zone-torn.t
/^ngx_http_exam_shard_lock/,/^}/s/if (shard->sh->dirty) {/if (0) {/
