-- The heartbeat in Lua: what a careful author writes with Debian's packages.
--
-- The token is verified once and kept in the worker process, the body parsed by
-- cjson; each beat is written to Redis at once, over a kept connection, in one
-- round trip that also brings what the reply tells.

local cjson = require 'cjson.safe'
local ffi = require 'ffi'
local redis = require 'nginx.redis'

ffi.cdef [[
const void *EVP_sha256(void);
unsigned char *HMAC(const void *md, const void *key, int len,
                    const unsigned char *text, size_t n,
                    unsigned char *out, unsigned *outlen);
]]

local crypto = ffi.load('crypto.so.3')
local app = { known = {} }


function app.setup(key, socket)
    app.key = (key:gsub('..', function(hex)
        return string.char(tonumber(hex, 16))
    end))
    app.socket = 'unix:' .. socket
end


local function decode(text)
    text = text:gsub('-', '+'):gsub('_', '/')
    return ngx.decode_base64(text .. ('='):rep(-#text % 4))
end


local function verify(token)
    local claims = app.known[token]

    if claims then
        return claims.exp > ngx.time() and claims
    end

    local text, mac = token:match('^([%w_-]+%.[%w_-]+)%.([%w_-]+)$')

    if not text then
        return nil
    end

    local out = ffi.new('unsigned char[32]')
    local size = ffi.new('unsigned[1]')

    crypto.HMAC(crypto.EVP_sha256(), app.key, #app.key, text, #text, out, size)

    if decode(mac) ~= ffi.string(out, 32) then
        return nil
    end

    claims = cjson.decode(decode(text:match('%.(.*)')) or '')

    if not claims or claims.exp <= ngx.time() then
        return nil
    end

    app.known[token] = claims
    return claims
end


local function number(value)
    return tonumber(value) and value or 'null'
end


function app.heartbeat()
    local token = (ngx.var.http_authorization or ''):match('^Bearer (.+)$')
    local claims = token and verify(token)

    if not claims then
        return ngx.exit(401)
    end

    ngx.req.read_body()
    local beat = cjson.decode(ngx.req.get_body_data() or '')

    if type(beat) ~= 'table' or type(beat.seq) ~= 'number' then
        return ngx.exit(400)
    end

    local now = math.floor(ngx.now() * 1000)
    local tag = 'exam:{' .. claims.exam .. '}'
    local field = claims.sub .. ':' .. claims.sid
    local r = redis:new()

    if not r:connect(app.socket) then
        return ngx.exit(503)
    end

    r:init_pipeline(4)
    r:zadd(tag .. ':seen', now, claims.sub)
    r:hset(tag .. ':state', claims.sub, cjson.encode(beat.state or {}))
    r:hmget(tag .. ':stored', field .. ':screen', field .. ':camera')
    r:hmget(tag, 'state', 'ends_at')
    local answer = r:commit_pipeline()
    r:set_keepalive(60000, 128)

    if not answer then
        return ngx.exit(503)
    end

    -- cjson would write an empty table as an object
    local stored, exam = answer[3], answer[4]
    local reply = string.format('{"server_time":%d,"next_s":30,"ends_at":%s,'
        .. '"status":{"locked":false,"paused":false,"closed":%s},'
        .. '"commands":[],"stored":{"screen":%s,"camera":%s},"resend":[],'
        .. '"upload":{"slot_ms":0}}\n', now, number(exam[2]),
        tostring(exam[1] == 'closed'), number(stored[1]), number(stored[2]))

    ngx.header['Content-Type'] = 'application/json'
    ngx.header['Content-Length'] = #reply
    ngx.print(reply)
end


return app
