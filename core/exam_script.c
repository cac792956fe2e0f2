
/*
 * The Lua scripts that run in Redis: sources and table (DESIGN 5; arguments
 * and answers: exam_script.h).  Each runs alone in Redis, so what it reads
 * stands until it has written.  They touch no key outside KEYS.
 *
 * Sessions are JSON of one fixed order of members, written by the functions of
 * LUA_SESSION only; so the flush can compare text instead of decoding it.
 * Whoever else writes such a value may use any form: it is then decoded, and
 * what is not a session at all is replaced.
 *
 * Comments stand in C, between the lines, so that Redis is not sent them.
 */


#include "exam_err.h"
#include "exam_redis_row.h"
#include "exam_script.h"
#include "exam_state.h"


/* C11 asks of a compiler only 4095 bytes in a literal; ours take them all */

#pragma GCC diagnostic ignored "-Woverlength-strings"


#define LUA_VALUE(x)  LUA_TEXT(x)
#define LUA_TEXT(x)   #x


/* whole numbers as text: Lua alone would write 1e+15 */

#define LUA_INT                                                               \
    "local function int(v)\n"                                                 \
    "  return string.format('%.0f', tonumber(v) or 0)\n"                      \
    "end\n"


/*
 * flags(text): the bits EXAM_FLAG_* and extra_s.  A value that nobody can
 * read must not stop an exam: it counts as none and is logged.
 */

#define LUA_FLAGS                                                             \
    "local function flags(text)\n"                                            \
    "  if not text then return 0, 0 end\n"                                    \
    "  local ok, f = pcall(cjson.decode, text)\n"                             \
    "  if not ok or type(f) ~= 'table' then\n"                                \
    "    redis.log(redis.LOG_WARNING, 'malformed value in ' .. FLAGS)\n"      \
    "    return 0, 0\n"                                                       \
    "  end\n"                                                                 \
    "  local bits = 0\n"                                                      \
    "  if f.suspended == true then\n"                                         \
    "    bits = bits + " LUA_VALUE(EXAM_FLAG_SUSPENDED) "\n"                  \
    "  end\n"                                                                 \
    "  if f.locked == true then\n"                                            \
    "    bits = bits + " LUA_VALUE(EXAM_FLAG_LOCKED) "\n"                     \
    "  end\n"                                                                 \
    "  if f.paused == true then\n"                                            \
    "    bits = bits + " LUA_VALUE(EXAM_FLAG_PAUSED) "\n"                     \
    "  end\n"                                                                 \
    "  if f.finish == true then\n"                                            \
    "    bits = bits + " LUA_VALUE(EXAM_FLAG_FINISH) "\n"                     \
    "  end\n"                                                                 \
    "  return bits, tonumber(f.extra_s) or 0\n"                               \
    "end\n"


/*
 * session(text): decoded, or nil.
 *
 * merge(student, old, new): the student's session after the node told of
 * `new`, and what ended `new`.  The higher generation wins; of two equal ones
 * (an emptied Redis gave the same millisecond twice) the higher id, so that
 * the order of the calls does not matter.  What ended a generation first,
 * stays.
 */

#define LUA_SESSION                                                           \
    "local function session(text)\n"                                          \
    "  if not text then return nil end\n"                                     \
    "  local ok, s = pcall(cjson.decode, text)\n"                             \
    "  if not ok or type(s) ~= 'table' or type(s.sid) ~= 'string'\n"          \
    "     or not tonumber(s.gen)\n"                                           \
    "  then\n"                                                                \
    "    redis.log(redis.LOG_WARNING, 'malformed value in ' .. SESSIONS)\n"   \
    "    return nil\n"                                                        \
    "  end\n"                                                                 \
    "  return { sid = s.sid, gen = tonumber(s.gen),\n"                        \
    "           node = tostring(s.node or ''), ip = tostring(s.ip or ''),\n"  \
    "           login_at = tonumber(s.login_at) or 0,\n"                      \
    "           ended = tostring(s.ended or '') }\n"                          \
    "end\n"                                                                   \
    "local function changed(student, s, ended)\n"                             \
    "  redis.call('XADD', CHANGES, 'MAXLEN', '~', 10000, '*',\n"              \
    "             'type', 'session', 'student', student, 'sid', s.sid,\n"     \
    "             'gen', int(s.gen), 'node', s.node, 'ended', ended)\n"       \
    "end\n"                                                                   \
    "local function put(student, s)\n"                                        \
    "  redis.call('HSET', SESSIONS, student,\n"                               \
    "    '{\"sid\":\"' .. s.sid .. '\",\"gen\":' .. int(s.gen) ..\n"          \
    "    ',\"node\":' .. cjson.encode(s.node) ..\n"                           \
    "    ',\"ip\":' .. cjson.encode(s.ip) ..\n"                               \
    "    ',\"login_at\":' .. int(s.login_at) ..\n"                            \
    "    ',\"ended\":\"' .. s.ended .. '\"}')\n"                              \
    "  changed(student, s, s.ended)\n"                                        \
    "end\n"                                                                   \
    "local function merge(student, old, new)\n"                               \
    "  if old and old.sid == new.sid and old.gen == new.gen then\n"           \
    "    if old.ended == '' and new.ended ~= '' then\n"                       \
    "      old.ended = new.ended\n"                                           \
    "      put(student, old)\n"                                               \
    "    end\n"                                                               \
    "    return old, old.ended\n"                                             \
    "  end\n"                                                                 \
    "  if old and (old.gen > new.gen\n"                                       \
    "              or old.gen == new.gen and old.sid > new.sid)\n"            \
    "  then\n"                                                                \
    "    return old, 'replaced'\n"                                            \
    "  end\n"                                                                 \
    "  if old and old.ended == '' then\n"                                     \
    "    changed(student, old, 'replaced')\n"                                 \
    "  end\n"                                                                 \
    "  put(student, new)\n"                                                   \
    "  return new, new.ended\n"                                               \
    "end\n"


static const char  exam_script_login[] =
    "local LOADED, EXAM, FLAGS, ROSTER, SESSIONS, STORED, SEEN, CHANGES =\n"
    "  unpack(KEYS)\n"
    LUA_INT
    LUA_FLAGS
    LUA_SESSION
    "local student, code, sid, node, ip, min_gen, policy = unpack(ARGV)\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"

    "if redis.call('EXISTS', LOADED) == 0 then\n"
    "  return {'err', 'roster_loading'}\n"
    "end\n"

    "local e = redis.call('HMGET', EXAM, 'title', 'state', 'starts_at',\n"
    "                     'ends_at', 'pause_ms', 'paused_at', 'version')\n"
    "local state = e[2]\n"
    "if not state then return {'err', 'invalid_credentials'} end\n"
    "if state == 'draft' then return {'err', 'exam_not_open'} end\n"
    "if state ~= 'open' then return {'err', 'exam_over'} end\n"

    /* an end of 0 is an exam without one */

    "local bits, extra = flags(redis.call('HGET', FLAGS, student))\n"
    "local ends, paused = tonumber(e[4]) or 0, tonumber(e[6]) or 0\n"
    "local own = ends + extra * 1000 + (tonumber(e[5]) or 0)\n"
    "if paused ~= 0 then own = own + math.max(now - paused, 0) end\n"
    "if now < (tonumber(e[3]) or 0) - ARGV[9] then\n"
    "  return {'err', 'exam_not_open'}\n"
    "end\n"
    "if ends ~= 0 and now >= own then return {'err', 'exam_over'} end\n"

    "local roster = redis.call('HMGET', ROSTER, '_v', student)\n"
    "if not roster[1] then return {'err', 'roster_loading'} end\n"
    "local person = roster[2] and cjson.decode(roster[2])\n"
    "if not person or person.code ~= code then\n"
    "  return {'err', 'invalid_credentials'}\n"
    "end\n"
    "if bits % 2 == 1 then return {'err', 'student_suspended'} end\n"

    /*
     * `seen` is of the student: what is older than the login was an earlier
     * session's beat
     */

    "local old = session(redis.call('HGET', SESSIONS, student))\n"
    "local active = old and old.ended == ''\n"
    "if active and policy == 'deny' then\n"
    "  local seen = tonumber(redis.call('ZSCORE', SEEN, student) or 0)\n"
    "  if now - math.max(seen, old.login_at) < tonumber(ARGV[8]) then\n"
    "    return {'err', 'already_logged_in'}\n"
    "  end\n"
    "end\n"

    "local gen = math.max(now, tonumber(min_gen), old and old.gen + 1 or 0)\n"
    "merge(student, old, { sid = sid, gen = gen, node = node, ip = ip,\n"
    "                      login_at = now, ended = '' })\n"
    "local stored = {}\n"
    "for kind in string.gmatch(ARGV[10], '[^,]+') do\n"
    "  redis.call('HSET', STORED, student .. ':' .. sid .. ':' .. kind, -1)\n"
    "  stored[#stored + 1] = '-1'\n"
    "end\n"
    "local function text(v) return type(v) == 'string' and v or '' end\n"
    "return {'ok', int(gen), text(person.name), text(person.seat),\n"
    "        e[1] or '', state, int(e[3]), int(e[4]), int(e[5]),\n"
    "        int(e[6]), int(e[7]), int(extra), int(bits),\n"
    "        active and old.sid or '', int(now), table.concat(stored, ',')}\n";


static const char  exam_script_logout[] =
    "local LOADED, EXAM, SESSIONS, SEG, STORED, FLAGS, CHANGES =\n"
    "  unpack(KEYS)\n"
    LUA_INT
    LUA_FLAGS
    LUA_SESSION
    "local student, sid, gen, node, reason, kinds = unpack(ARGV)\n"

    "if redis.call('EXISTS', LOADED) == 0 then\n"
    "  return {'err', 'roster_loading'}\n"
    "end\n"
    "local e = redis.call('HMGET', EXAM, 'state', 'starts_at', 'ends_at',\n"
    "                     'pause_ms', 'paused_at')\n"
    "if not e[1] then return {'err', 'not_found'} end\n"

    /* a session that Redis has not heard of is written as ended */

    "local _, ended = merge(student,\n"
    "  session(redis.call('HGET', SESSIONS, student)),\n"
    "  { sid = sid, gen = tonumber(gen), node = node, ip = '',\n"
    "    login_at = 0, ended = reason })\n"

    "local bits, extra = flags(redis.call('HGET', FLAGS, student))\n"
    "local stored, above = {}, {}\n"
    "for kind in string.gmatch(kinds, '[^,]+') do\n"
    "  local n = redis.call('HGET', STORED,\n"
    "                       student .. ':' .. sid .. ':' .. kind)\n"
    "  stored[#stored + 1] = n or '-'\n"
    "  above[sid .. ':' .. kind .. ':'] = tonumber(n or -1)\n"
    "end\n"
    "local out = {'ok', ended, e[1], int(e[2]), int(e[3]), int(e[4]),\n"
    "             int(e[5]), int(extra), int(bits),\n"
    "             table.concat(stored, ',')}\n"

    /* what is neither this session's nor of these kinds has no `above` */

    "local seg = redis.call('HGETALL', SEG)\n"
    "for i = 1, #seg, 2 do\n"
    "  local of, n = string.match(seg[i], '^(.*:)(%d+)$')\n"
    "  if above[of] and tonumber(n) > above[of] then\n"
    "    out[#out + 1] = seg[i]\n"
    "    out[#out + 1] = seg[i + 1]\n"
    "  end\n"
    "end\n"
    "return out\n";


/*
 * The one that has to be fast: one call of Redis a table, not a row.  Of the
 * row it uses student, sid, gen, login_at, last, ended and state.
 */

static const char  exam_script_flush[] =
    "local LOADED, EXAM, FLAGS, SESSIONS, SEEN, STATE, STORED, CHANGES =\n"
    "  unpack(KEYS)\n"
    LUA_INT
    LUA_FLAGS
    LUA_SESSION
    "if redis.call('EXISTS', LOADED) == 0 then return 'EMPTY' end\n"
    "local e = redis.call('HMGET', EXAM, 'state', 'starts_at', 'ends_at',\n"
    "                     'pause_ms', 'paused_at', 'version')\n"
    "if not e[1] then return 'GONE' end\n"
    "for i = 2, 6 do e[i] = int(e[i]) end\n"
    "e = table.concat(e, '\\t')\n"
    "local node, rows, kinds = ARGV[1], ARGV[3], {}\n"
    "for kind in string.gmatch(ARGV[2], '[^,]+') do\n"
    "  kinds[#kinds + 1] = ':' .. kind\n"
    "end\n"
    "kinds[#kinds + 1] = ':resend'\n"

    "local students, sids, gens, logins, lasts = {}, {}, {}, {}, {}\n"
    "local ends, says, fields, per = {}, {}, {}, #kinds\n"
    "local find, match, sub = string.find, string.match, string.sub\n"
    "local n, at = 0, 1\n"
    "while at <= #rows do\n"
    "  local student, sid, gen, login, last, ended, from = match(rows,\n"
    "    '^([^\\t]+)\\t(%x+)\\t(%d+)\\t(%-?%d+)\\t%-?%d+\\t(%-?%d+)\\t' ..\n"
    "    '%-?%d+\\t%d+\\t([%l_]*)\\t()', at)\n"
    "  local to = student and find(rows, '\\n', from, true)\n"
    "  if not to then\n"
    "    return redis.error_reply('ERR malformed row ' .. n + 1)\n"
    "  end\n"
    "  for k = 1, per do\n"
    "    fields[n * per + k] = student .. ':' .. sid .. kinds[k]\n"
    "  end\n"
    "  at, n = to + 1, n + 1\n"
    "  students[n], sids[n], gens[n], logins[n] = student, sid, gen, login\n"
    "  lasts[n], ends[n], says[n] = last, ended, sub(rows, from, to - 1)\n"
    "end\n"
    "if n == 0 then return e .. '\\n' end\n"

    "local sessions = redis.call('HMGET', SESSIONS, unpack(students))\n"
    "local flagged = redis.call('HMGET', FLAGS, unpack(students))\n"
    "local stored = redis.call('HMGET', STORED, unpack(fields))\n"

    /*
     * A session that stands in Redis as it is in the row needs no decoding;
     * one that this call has written is looked up in `merged`, for a student
     * may have two rows.
     */

    "local out, beats, states, told, merged = {e}, {}, {}, {}, {}\n"
    "local b, o = 0, 1\n"
    "for i = 1, n do\n"
    "  local student, text, gen, ended = students[i], sessions[i], gens[i],\n"
    "                                    ends[i]\n"
    "  local current = true\n"
    "  if ended ~= '' or not text or merged[student]\n"
    "     or find(text, '{\"sid\":\"' .. sids[i] .. '\",\"gen\":' .. gen ..\n"
    "             ',', 1, true) ~= 1\n"
    "     or not find(text, '\"ended\":\"\"}', -11, true)\n"
    "  then\n"
    "    local s, why = merge(student, merged[student] or session(text),\n"
    "      { sid = sids[i], gen = tonumber(gen), node = node, ip = '',\n"
    "        login_at = tonumber(logins[i]), ended = ended })\n"
    "    merged[student], gen, current = s, int(s.gen), s.sid == sids[i]\n"
    "    if current or ended == '' then ended = why end\n"
    "  end\n"

    /* only the session that stands speaks for the student */

    "  if current and tonumber(lasts[i]) > 0 then\n"
    "    beats[b + 1], beats[b + 2], b = lasts[i], student, b + 2\n"
    "    if says[i] ~= '' then states[#states + 1] = i end\n"
    "  end\n"
    "  local f = flagged[i]\n"
    "  local t = told[f]\n"
    "  if not t then\n"
    "    local bits, extra = flags(f)\n"
    "    t = '\\t' .. bits .. '\\t' .. int(extra) .. '\\t'\n"
    "    told[f] = t\n"
    "  end\n"
    "  out[o + 1], out[o + 2], out[o + 3], out[o + 4] = '\\n', gen, '\\t',\n"
    "                                                   ended\n"
    "  out[o + 5], o = t, o + 5\n"
    "  for k = (i - 1) * per + 1, i * per - 1 do\n"
    "    out[o + 1], out[o + 2], o = stored[k] or '-', ',', o + 2\n"
    "  end\n"
    "  out[o], out[o + 1], o = '\\t', stored[i * per] or '', o + 1\n"
    "end\n"
    "out[o + 1] = '\\n'\n"

    /* a state is newer when no other node has seen the student since */

    "if b > 0 then\n"
    "  local new = redis.call('ZADD', SEEN, 'GT', 'CH', unpack(beats))\n"
    "  local set, seen = {}, {}\n"
    "  if new < b / 2 and #states > 0 then\n"
    "    local who = {}\n"
    "    for j, i in ipairs(states) do who[j] = students[i] end\n"
    "    seen = redis.call('ZMSCORE', SEEN, unpack(who))\n"
    "  end\n"
    "  for j, i in ipairs(states) do\n"
    "    if not seen[j] or tonumber(lasts[i]) >= tonumber(seen[j]) then\n"
    "      set[#set + 1] = students[i]\n"
    "      set[#set + 1] = says[i]\n"
    "    end\n"
    "  end\n"
    "  if #set > 0 then redis.call('HSET', STATE, unpack(set)) end\n"
    "end\n"
    "return table.concat(out)\n";


static const char  exam_script_settle[] =
    "local SEG, STORED = unpack(KEYS)\n"
    "local student = ARGV[1]\n"
    "local rank = { receiving = 1, lost = 2, received = 3, stored = 4 }\n"

    /*
     * refused is said of one upload, not of the number: told twice, or late,
     * it must not touch what another upload has brought since
     */

    "local function rises(was, by, state, upload)\n"
    "  if state == 'refused' then\n"
    "    return not was or was ~= 'stored' and by == upload\n"
    "  end\n"
    "  if was == 'refused' then return by ~= upload end\n"
    "  return rank[state] > (rank[was] or 0)\n"
    "end\n"

    /*
     * An absent number is not known (DESIGN 3.1) and stays so until 0 is
     * settled: -1 would tell a client that nothing is stored.
     */

    "local function advance(sid, kind)\n"
    "  local field = student .. ':' .. sid .. ':' .. kind\n"
    "  local was = redis.call('HGET', STORED, field)\n"
    "  local n = tonumber(was or -1)\n"
    "  while true do\n"
    "    local v = redis.call('HGET', SEG,\n"
    "                         sid .. ':' .. kind .. ':' .. n + 1)\n"
    "    v = v and string.match(v, '^%l+')\n"
    "    if v ~= 'stored' and v ~= 'lost' then break end\n"
    "    n = n + 1\n"
    "  end\n"
    "  if n > tonumber(was or -1) then\n"
    "    redis.call('HSET', STORED, field, n)\n"
    "  elseif not was then\n"
    "    return '-'\n"
    "  end\n"
    "  return n\n"
    "end\n"

    /*
     * `resend` of a session: the lowest refused numbers, found anew when one
     * came or went.  Attachments have no number that a client could repeat.
     */

    "local function again(sid)\n"
    "  local list, all = {}, redis.call('HGETALL', SEG)\n"
    "  for i = 1, #all, 2 do\n"
    "    if string.find(all[i + 1], '^refused ') then\n"
    "      local kind, n = string.match(all[i], '^' .. sid .. ':(.+):(%d+)$')\n"
    "      if kind and kind ~= 'file' then\n"
    "        list[#list + 1] = { kind, tonumber(n) }\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "  table.sort(list, function (a, b)\n"
    "    return a[2] < b[2] or a[2] == b[2] and a[1] < b[1]\n"
    "  end)\n"
    "  for i = 1, #list do\n"
    "    list[i] = i <= " LUA_VALUE(EXAM_RESEND_MAX) "\n"
    "              and table.concat(list[i], ':') or nil\n"
    "  end\n"
    "  local field = student .. ':' .. sid .. ':resend'\n"
    "  if #list == 0 then\n"
    "    redis.call('HDEL', STORED, field)\n"
    "  else\n"
    "    redis.call('HSET', STORED, field, table.concat(list, ','))\n"
    "  end\n"
    "end\n"

    /* the number of the next attachment is above all there have been */

    "local function fresh(sid, n)\n"
    "  local field = student .. ':' .. sid .. ':file'\n"
    "  if n > tonumber(redis.call('HGET', STORED, field) or 0) then\n"
    "    redis.call('HSET', STORED, field, n)\n"
    "  end\n"
    "end\n"

    /*
     * A number that `stored` covers may be gone at the client: it was given up
     * for lost before, and damaged it is lost again.
     */

    "local function covered(sid, kind, n)\n"
    "  local field = student .. ':' .. sid .. ':' .. kind\n"
    "  return tonumber(n) <= tonumber(redis.call('HGET', STORED, field)\n"
    "                                 or -1)\n"
    "end\n"

    "if #ARGV % 8 ~= 1 then\n"
    "  return redis.error_reply('ERR wrong number of arguments')\n"
    "end\n"
    "for i = 5, #ARGV, 8 do\n"
    "  if not rank[ARGV[i]] and ARGV[i] ~= 'refused' and ARGV[i] ~= 'gone'\n"
    "  then\n"
    "    return redis.error_reply('ERR unknown state')\n"
    "  end\n"
    "end\n"

    /*
     * An incomplete upload that has gone leaves nothing, but a number that was
     * wanted again before it is still wanted.
     */

    "local function gone(field, value)\n"
    "  local upload = string.match(value, '^%l+ (%S+ %S+)')\n"
    "  if not string.find(value, ' refused$') then\n"
    "    redis.call('HDEL', SEG, field)\n"
    "    return nil\n"
    "  end\n"
    "  value = 'refused ' .. upload .. ' - -'\n"
    "  redis.call('HSET', SEG, field, value)\n"
    "  return value\n"
    "end\n"

    /* what a value adds to `student:bytes` */

    "local function weight(state, bytes)\n"
    "  return (rank[state] or 0) >= 3 and tonumber(bytes) or 0\n"
    "end\n"

    "local out, numbers, wanted, sum = {}, { file = '-' }, {}, 0\n"
    "for i = 2, #ARGV, 8 do\n"
    "  local sid, kind, n, state, _, upload, bytes = unpack(ARGV, i, i + 6)\n"
    "  local field = sid .. ':' .. kind .. ':' .. n\n"
    "  local value, was, by, size = redis.call('HGET', SEG, field)\n"
    "  if value then\n"
    "    was, by, size = string.match(value, '^(%l+) %S+ (%S+) (%S+)')\n"
    "  end\n"
    "  if state == 'gone' then\n"
    "    if was == 'receiving' and by == upload then\n"
    "      value = gone(field, value)\n"
    "      if value then wanted[sid] = true end\n"
    "    end\n"
    "  elseif rises(was, by, state, upload) then\n"
    "    value = table.concat(ARGV, ' ', i + 3, i + 7)\n"
    "    if state == 'refused' and covered(sid, kind, n) then\n"
    "      value = 'lost' .. string.sub(value, 8)\n"
    "    elseif state == 'receiving' and was == 'refused' then\n"
    "      value = value .. ' refused'\n"
    "    end\n"
    "    redis.call('HSET', SEG, field, value)\n"
    "    sum = sum + weight(state, bytes) - weight(was, size)\n"
    "    if was == 'refused' or state == 'refused' then\n"
    "      wanted[sid] = true\n"
    "    end\n"
    "    if kind == 'file' then fresh(sid, tonumber(n) + 1) end\n"
    "  end\n"
    "  out[#out + 1] = value and string.match(value, '^%S+ %S+ %S+ %S+ %S+')\n"
    "                  or 'none - - - -'\n"
    "end\n"
    "if sum ~= 0 then\n"
    "  redis.call('HINCRBY', STORED, student .. ':bytes', sum)\n"
    "end\n"
    "for sid in pairs(wanted) do again(sid) end\n"

    "for i = 2, #ARGV, 8 do\n"
    "  local sid, kind = ARGV[i], ARGV[i + 1]\n"
    "  local of = kind == 'file' and kind or sid .. ':' .. kind\n"
    "  if not numbers[of] then numbers[of] = advance(sid, kind) end\n"
    "  out[(i + 6) / 8] = out[(i + 6) / 8] .. ' ' .. numbers[of]\n"
    "end\n"
    "return out\n";


const exam_script_t *
exam_script(exam_script_e which)
{
    static const exam_script_t  scripts[] = {
        { "login",  exam_script_login,  8 },
        { "logout", exam_script_logout, 7 },
        { "flush",  exam_script_flush,  8 },
        { "settle", exam_script_settle, 2 }
    };

    return &scripts[which];
}
