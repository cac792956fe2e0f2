
/*
 * The directive `exam_redis`.  Runs while the configuration is read; names are
 * resolved here, never at run time.
 */


#include "ngx_http_exam_redis.h"


#define NGX_HTTP_EXAM_REDIS_PORT    6379
#define NGX_HTTP_EXAM_REDIS_SECRET  512     /* bytes of a password file */


static char *ngx_http_exam_redis_parse_addr(ngx_conf_t *cf,
    ngx_http_exam_redis_conf_t *conf);
static char *ngx_http_exam_redis_parse_password(ngx_conf_t *cf,
    ngx_http_exam_redis_conf_t *conf, ngx_str_t *file);


char *
ngx_http_exam_redis_parse(ngx_conf_t *cf, ngx_http_exam_redis_conf_t *conf)
{
    ngx_int_t   n;
    ngx_str_t  *value, s;
    ngx_uint_t  i;

    value = cf->args->elts;

    ngx_memzero(conf, sizeof(ngx_http_exam_redis_conf_t));

    conf->name = value[1];

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "password_file=", 14) == 0) {

            s.len = value[i].len - 14;
            s.data = value[i].data + 14;

            if (ngx_http_exam_redis_parse_password(cf, conf, &s)
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "db=", 3) == 0) {

            n = ngx_atoi(value[i].data + 3, value[i].len - 3);

            if (n == NGX_ERROR || n > 65535) {
                goto invalid;
            }

            conf->db = n;
            continue;
        }

        goto invalid;
    }

    return ngx_http_exam_redis_parse_addr(cf, conf);

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\"", &value[i]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_exam_redis_parse_addr(ngx_conf_t *cf,
    ngx_http_exam_redis_conf_t *conf)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   path;
    ngx_url_t   u;
    u_char      text[NGX_SOCKADDR_STRLEN];

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = conf->name;
    u.default_port = NGX_HTTP_EXAM_REDIS_PORT;

    if (ngx_strncasecmp(u.url.data, (u_char *) "unix:", 5) == 0
        && u.url.len > 5)
    {
        path.len = u.url.len - 5;
        path.data = u.url.data + 5;

        if (ngx_conf_full_name(cf->cycle, &path, 0) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        p = ngx_pnalloc(cf->pool, 5 + path.len + 1);
        if (p == NULL) {
            return NGX_CONF_ERROR;
        }

        u.url.len = ngx_sprintf(p, "unix:%V%Z", &path) - p - 1;
        u.url.data = p;

        conf->path = (char *) p + 5;
    }

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {

        if (u.err) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s in \"%V\"", u.err, &u.url);
        }

        return NGX_CONF_ERROR;
    }

    if (conf->path) {
        return NGX_CONF_OK;
    }

    /* hiredis takes the address as text: given it numeric, it never blocks */

    len = ngx_sock_ntop(u.addrs[0].sockaddr, u.addrs[0].socklen, text,
                        NGX_SOCKADDR_STRLEN, 0);

    p = ngx_pnalloc(cf->pool, len + 1);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_cpystrn(p, text, len + 1);

    conf->host = (char *) p;
    conf->port = ngx_inet_get_port(u.addrs[0].sockaddr);

    return NGX_CONF_OK;
}


static char *
ngx_http_exam_redis_parse_password(ngx_conf_t *cf,
    ngx_http_exam_redis_conf_t *conf, ngx_str_t *file)
{
    ssize_t   n;
    u_char   *p;
    ngx_fd_t  fd;

    if (ngx_conf_full_name(cf->cycle, file, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    p = ngx_pnalloc(cf->pool, NGX_HTTP_EXAM_REDIS_SECRET);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", file);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, p, NGX_HTTP_EXAM_REDIS_SECRET);

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed", file);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", file);
    }

    if (n == -1) {
        return NGX_CONF_ERROR;
    }

    if (n == NGX_HTTP_EXAM_REDIS_SECRET) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "password file \"%V\" is too long", file);
        return NGX_CONF_ERROR;
    }

    while (n > 0 && (p[n - 1] == LF || p[n - 1] == CR)) {
        n--;
    }

    if (n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "password file \"%V\" is empty", file);
        return NGX_CONF_ERROR;
    }

    conf->password.len = n;
    conf->password.data = p;

    return NGX_CONF_OK;
}
