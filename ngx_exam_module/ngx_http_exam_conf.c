
/*
 * The setters of directives with a syntax of their own.  Run in the master
 * while the configuration is read; a wrong value is an error of level EMERG
 * that quotes it, and the old configuration stays.
 */


#include "ngx_http_exam_module.h"


static ngx_int_t ngx_http_exam_read_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text);


char *
ngx_http_exam_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exam_main_conf_t  *mcf = conf;

    if (mcf->redis != NULL) {
        return "is duplicate";
    }

    mcf->redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_exam_redis_conf_t));
    if (mcf->redis == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_exam_redis_parse(cf, mcf->redis);
}


char *
ngx_http_exam_conf_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exam_main_conf_t  *mcf = conf;

    unsigned     line;
    ngx_str_t   *value, text;
    exam_err_e   err;
    const char  *what;

    if (mcf->keys != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->key_file = value[1];

    if (ngx_http_exam_read_file(cf, &mcf->key_file, &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    mcf->keys = ngx_pcalloc(cf->pool, sizeof(exam_keyring_t));
    if (mcf->keys == NULL) {
        return NGX_CONF_ERROR;
    }

    err = exam_keyring_parse(mcf->keys, exam_str_make(text.data, text.len),
                             &line, &what);

    ngx_explicit_memzero(text.data, text.len);

    if (err != EXAM_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in key file \"%V\", line %ui",
                           what, &mcf->key_file, (ngx_uint_t) line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_exam_read_file(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *text)
{
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        goto done;
    }

    if (ngx_file_size(&fi) > 65536) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "file \"%V\" is too large", name);
        goto done;
    }

    text->len = ngx_file_size(&fi);
    text->data = ngx_pnalloc(cf->pool, text->len + 1);
    if (text->data == NULL) {
        goto done;
    }

    n = ngx_read_fd(fd, text->data, text->len);

    if (n != (ssize_t) text->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed", name);
        goto done;
    }

    rc = NGX_OK;

done:

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return rc;
}


char *
ngx_http_exam_conf_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exam_main_conf_t  *mcf = conf;

    ngx_str_t  *value;

    if (mcf->node.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->node = exam_str_make(value[1].data, value[1].len);

    if (!exam_id_node(mcf->node)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid node \"%V\", "
                           "expected 1 to 15 of \"a-z0-9\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_exam_conf_spool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exam_main_conf_t  *mcf = conf;

    ngx_str_t  *value;

    if (mcf->spool.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->spool = value[1];

    while (mcf->spool.len > 1 && mcf->spool.data[mcf->spool.len - 1] == '/') {
        mcf->spool.data[--mcf->spool.len] = '\0';
    }

    if (mcf->spool.len == 0) {
        return "has an empty path";
    }

    if (ngx_conf_full_name(cf->cycle, &mcf->spool, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_exam_conf_kinds(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exam_main_conf_t  *mcf = conf;

    u_char      *p;
    exam_str_t   name;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (mcf->kinds.n) {
        return "is duplicate";
    }

    if (cf->args->nelts - 1 > EXAM_KINDS_MAX) {
        return "has more than 4 kinds";
    }

    p = ngx_pnalloc(cf->pool, EXAM_KINDS_MAX * (EXAM_KIND_MAX + 1));
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->kinds_csv.data = p;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        name = exam_str_make(value[i].data, value[i].len);

        if (!exam_id_kind(name) || exam_kind_find(&mcf->kinds, name) >= 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid or repeated kind \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        mcf->kinds.name[mcf->kinds.n++] = name;

        if (i > 1) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, name.data, name.len);
    }

    mcf->kinds_csv.len = p - mcf->kinds_csv.data;

    return NGX_CONF_OK;
}


/* `off`, or a size */

char *
ngx_http_exam_conf_quota(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    off_t      *quota;
    ngx_str_t  *value;

    quota = (off_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (*quota == NGX_CONF_UNSET && ngx_strcmp(value[1].data, "off") == 0) {
        *quota = 0;
        return NGX_CONF_OK;
    }

    return ngx_conf_set_off_slot(cf, cmd, conf);
}


/* `rate [burst=n]`: 2r/s, 30r/m, or 0 for no limit */

char *
ngx_http_exam_conf_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    size_t                 len;
    ngx_int_t              rate, burst, scale;
    ngx_str_t             *value;
    ngx_http_exam_rate_t  *limit;

    limit = (ngx_http_exam_rate_t *) (p + cmd->offset);

    if (limit->rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    len = value[1].len;
    scale = 1;
    burst = 0;

    if (len > 3 && ngx_strncmp(value[1].data + len - 3, "r/s", 3) == 0) {
        len -= 3;

    } else if (len > 3 && ngx_strncmp(value[1].data + len - 3, "r/m", 3) == 0) {
        len -= 3;
        scale = 60;

    } else if (len != 1 || value[1].data[0] != '0') {
        goto invalid;
    }

    rate = ngx_atoi(value[1].data, len);

    if (rate == NGX_ERROR || rate > 100000
        || (rate == 0 && len != value[1].len))
    {
        goto invalid;
    }

    if (cf->args->nelts == 3) {
        if (value[2].len <= 6 || ngx_strncmp(value[2].data, "burst=", 6) != 0) {
            goto invalid_burst;
        }

        burst = ngx_atoi(value[2].data + 6, value[2].len - 6);
        if (burst == NGX_ERROR || burst > 1000000) {
            goto invalid_burst;
        }
    }

    limit->rate = rate * 1000 / scale;
    limit->burst = burst;

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid rate \"%V\"", &value[1]);

    return NGX_CONF_ERROR;

invalid_burst:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       &value[2]);

    return NGX_CONF_ERROR;
}


/* scheme and host, perhaps a path, that our paths are put behind */

char *
ngx_http_exam_conf_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exam_loc_conf_t *lcf = conf;

    size_t      i;
    ngx_str_t  *value, *url;

    if (lcf->public_url.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    url = &value[1];

    if (ngx_strncmp(url->data, "http://", 7) != 0
        && ngx_strncmp(url->data, "https://", 8) != 0)
    {
        goto invalid;
    }

    for (i = 0; i < url->len; i++) {
        if (url->data[i] <= ' ' || url->data[i] >= 0x7f) {
            goto invalid;
        }
    }

    lcf->public_url = *url;

    if (url->data[url->len - 1] == '/') {
        lcf->public_url.len--;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid URL \"%V\": it is http://host or "
                       "https://host", url);

    return NGX_CONF_ERROR;
}
