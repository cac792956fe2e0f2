-- Heartbeats for wrk: wrk -s heartbeat.lua URL -- TOKENS SEQ EPOCH
--
-- TOKENS has a line a session.  The requests are those of bench/beat.c: the
-- k-th goes to line k % lines with SEQ + k / lines, client_time rises by one.

local head, seq, time, middle, lines, place = {}, 0, 0, nil, 0, 0

local state = ',"state":{"recorder":"recording",'
    .. '"recorded":{"screen":12,"camera":12},"queued_segments":0,'
    .. '"queued_bytes":0,"oldest_unsent_s":0,"focus":true,"battery":0.87},'
    .. '"missed":[],"ack":[]}'

local threads = {}


function setup(thread)
    table.insert(threads, thread)
end


function init(args)
    seq = tonumber(args[2])

    -- a number of 13 digits is none that Lua formats quickly: two halves
    local first = ',"client_time":' .. string.sub(args[3], 1, 5)
    time = 10000000 + tonumber(string.sub(args[3], 6)) * 10
    middle = first

    local length = string.len('{"seq":' .. args[2] .. first .. time .. state)

    for token in io.lines(args[1]) do
        lines = lines + 1
        head[lines] = 'POST /api/v1/heartbeat HTTP/1.1\r\nHost: exam\r\n'
            .. 'Content-Type: application/json\r\nAuthorization: Bearer '
            .. token .. '\r\nContent-Length: ' .. length
            .. '\r\n\r\n{"seq":'
    end

    -- wrk looks at one request before it sends any
    place, sent = -2, -1
end


function request()
    place = place + 1
    sent = sent + 1

    if place == lines then
        place = 0
        seq = seq + 1
    end

    return head[place < 0 and 1 or place + 1] .. seq .. middle
        .. (time + sent) .. state
end


function done(summary, latency)
    local count = threads[1]:get('sent')
    local errors = summary.errors

    print(string.format('{"requests": %d, "ok": %d, "us": %d, "p50_us": %d, '
        .. '"p99_us": %d}', count, count - errors.status - errors.read
        - errors.write - errors.timeout - errors.connect, summary.duration,
        latency:percentile(50), latency:percentile(99)))
end
