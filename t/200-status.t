# What operators ask: /health, /ready, /status and /metrics, and who may
# (design, section 3.2).

use strict;
use warnings;

use lib 't/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api qw(is_problem problem is_shape);
use Exam::Process;

my $code = $Exam::Api::Code;
my %students = map { $_ => { code => $code } } 'S001' .. 'S009';

Exam::load_exam('30', students => \%students);

my $nginx = Exam::server(allow => [qr/access forbidden/],
    http => Exam::http_lines(exam_zone => 'exam:8m shards=2')
        . "    set_real_ip_from 127.0.0.1;\n    real_ip_header X-Real-IP;\n");
my $api = Exam::Api->new($nginx);

# The figures of Redis, worker and machine come with a first look soon after the
# start, then every five seconds.

sub looked {
    my ($member, $of) = @_;

    return Exam::wait_for { $member->(($of // $api)->status) } 15;
}

# ---- health

my $res = $api->get('/health');
is($res->{status}, 200, 'health');
is_deeply($res->{json}, { status => 'ok' }, 'is ok');

# ---- ready

looked(sub { defined $_[0]{clock_skew_ms} });
$res = $api->get('/ready');
is($res->{status}, 200, 'ready');
is_deeply($res->{json}, { ready => JSON::PP::true, degraded => ['worker'] },
          'degraded: there is no exam-worker');

# ---- status: all fields of the contract, null for what is not known

my %shape = (
    current_connections => 'int', max_connections => \512,
    memory_usage_mb => 'int', memory_limit_mb => 'int|null',
    total_requests => 'int', error_count => 'int', requests_per_s => 'int|null',
    online_students => 'int', sessions => 'int', active_uploads => \0,
    upload_bytes_in_flight => \0, heartbeats_total => 'int',
    shed_total => 'int',
    latency_ms => { map { ($_ => { p50 => 'num|null', p95 => 'num|null',
                                   p99 => 'num|null' }) }
                    qw(heartbeat login upload) },
    redis => { state => \'up', latency_ms => 'num|null', pending => 'int',
               reconnects => 'int', memory_used => 'int|null',
               memory_max => 'int|null', clients => 'int|null',
               maxclients => 'int|null' },
    mysql => { state => 'null', latency_ms => 'null', connections => 'null',
               max_connections => 'null', slow_queries => 'null' },
    cache => { hits => 'int', misses => 'int', hit_rate => 'num|null' },
    spool => { free_bytes => 'int|null', ready => 'null',
               oldest_ready_s => 'null', full_at => 'int|null' },
    worker => { state => 'null', lag_s => 'null', processing_ms => 'null',
                stored_total => 'null', failed_total => 'null' },
    clock_skew_ms => 'int|null',
    load => { cpu => 'int|null', mem => 'int|null', disk_io => 'int|null' },
    degraded => [\'worker'], alerts => ['str'],
);

is_shape($api->status, \%shape, 'status: every field, and its type');
is_deeply($api->status->{latency_ms}{upload},
          { p50 => undef, p95 => undef, p99 => undef },
          'null without a sample');

# ---- the figures are of something

my $before = $api->status;
my $token = $api->login('30', 'S001')->{json}{token};
$api->beat($token) for 1 .. 5;
$api->beat($api->login('30', 'S002')->{json}{token});
$api->beat('wrong');
my $after = $api->status;

is($after->{heartbeats_total} - $before->{heartbeats_total}, 6,
   'heartbeats_total');
is($after->{sessions}, 2, 'sessions');
is($after->{online_students}, 2, 'online_students');
cmp_ok($after->{total_requests} - $before->{total_requests}, '>=', 8,
       'total_requests');
is($after->{error_count}, 0, 'error_count: none of 500 and above');
cmp_ok($after->{memory_usage_mb}, '>', 0, 'memory_usage_mb')
    if looked(sub { $_[0]{memory_usage_mb} > 0 });
cmp_ok($after->{memory_limit_mb}, '>', 100, 'memory_limit_mb');

for my $what (qw(heartbeat login)) {
    my $q = $after->{latency_ms}{$what};
    ok($q->{p50} > 0 && $q->{p50} <= $q->{p95} && $q->{p95} <= $q->{p99}
       && $q->{p99} < 10_000, "latency of $what");
}

ok(looked(sub { ($_[0]{redis}{memory_used} // 0) > 100_000 }),
   'memory of Redis');
cmp_ok($api->status->{redis}{clients}, '>=', 2, 'clients of Redis');
is($api->status->{redis}{maxclients},
   Exam::redis_cmd('CONFIG', 'GET', 'maxclients')->[1], 'maxclients');
ok(looked(sub { defined $_[0]{clock_skew_ms}
                && abs($_[0]{clock_skew_ms}) < 500 }), 'clock_skew_ms');
ok(looked(sub { ($_[0]{spool}{free_bytes} // 0) > 1e6 }), 'room of the spool');
$api->logout($token);
is($api->status->{online_students}, 1, 'a logout is seen');
is($api->status->{sessions}, 2, 'the session stays known');

# ---- what exam-worker says of itself

Exam::redis_cmd('HSET', 'exam:worker:t1', state => 'running', lag_s => 3,
    processing_ms => 40, stored_total => 1234, failed_total => 5, ready => 6,
    mysql_state => 'up', mysql_latency_ms => 7, mysql_connections => 8,
    mysql_max_connections => 151, mysql_slow_queries => 0,
    updated_at => Exam::now_ms());

my $whole = Exam::Api->new(Exam::server());

ok(looked(sub { ($_[0]{worker}{state} // '') eq 'running' }, $whole),
   'the worker is seen');
is_shape($whole->status, { %shape,
    worker => { state => \'running', lag_s => \3, processing_ms => \40,
                stored_total => \1234, failed_total => \5 },
    mysql => { state => \'up', latency_ms => \7, connections => \8,
               max_connections => \151, slow_queries => \0 },
    spool => { free_bytes => 'int|null', ready => \6,
               oldest_ready_s => \3, full_at => 'int|null' },
    degraded => ['null'],
}, 'its figures and those of MySQL');
is_deeply($whole->get('/ready')->{json}{degraded}, [], 'nothing is degraded');

is_deeply($whole->status->{alerts}, [], 'no alert');

Exam::redis_cmd('HSET', 'exam:worker:t1', mysql_state => 'down',
                journal_refused_total => 1, journal_lag_bytes => 20_000_000);
$whole = Exam::Api->new(Exam::server());
ok(looked(sub { "@{ $_[0]{degraded} }" eq 'mysql' }, $whole), 'MySQL is down');
is_deeply($whole->status->{alerts}, [qw(journal_refused journal_lag)],
          'records that MySQL refused, and many that wait');

# ---- metrics: Prometheus text

$res = $api->get('/metrics');
is($res->{status}, 200, 'metrics');
like($res->{headers}{'content-type'}, qr{^text/plain; version=0\.0\.4},
     'of the type of Prometheus');

my (%type, %help, %value, @wrong);

for my $line (split /\n/, $res->{content}) {
    if ($line =~ /^# HELP (exam_[a-z0-9_]+) (\S.*)$/) {
        push @wrong, "twice: $line" if $help{$1}++;

    } elsif ($line =~ /^# TYPE (exam_[a-z0-9_]+) (counter|gauge|histogram)$/) {
        push @wrong, "no help: $line" unless $help{$1};
        $type{$1} = $2;

    } elsif ($line =~ /^(exam_[a-z0-9_]+)(?:\{le="([0-9.]+|\+Inf)"\})?
                       \ (\d+(?:\.\d+)?)$/x)
    {
        my ($name, $le, $n) = ($1, $2, $3);
        my $of = $name =~ s/_(?:bucket|sum|count)$//r;

        push @wrong, "no type: $line" unless $type{$name} || $type{$of};
        push @wrong, "a counter by another name: $line"
            if ($type{$name} // '') eq 'counter' && $name !~ /_total$/;
        push @{ $value{$name} }, defined $le ? [$le, $n] : $n;

    } else {
        push @wrong, $line;
    }
}

is(join('; ', @wrong), '', 'every line is of the format');
like($res->{content}, qr/\n\z/, 'the last one ends');
is($value{exam_heartbeats_total}[0], 6, 'a counter');
is($value{exam_sessions}[0], 2, 'a gauge');

for my $name (qw(heartbeat login upload pwrite fdatasync handover)) {
    my @buckets = @{ $value{"exam_${name}_seconds_bucket"} // [] };
    my $last = -1;
    my $rising = !grep { my $low = $_->[1] < $last; $last = $_->[1]; $low }
                       @buckets;

    ok(@buckets > 10 && $rising && $buckets[-1][0] eq '+Inf',
       "$name: cumulative buckets to +Inf");
    is($buckets[-1][1], $value{"exam_${name}_seconds_count"}[0],
       "$name: the last of them is the count");
}

is($value{exam_heartbeat_seconds_count}[0], 6, 'each heartbeat is a sample');
is($value{exam_login_seconds_count}[0], 2, 'each login is one');
cmp_ok($value{exam_heartbeat_seconds_sum}[0], '>', 0, 'and takes some time');

# ---- who may

for my $path (qw(/status /metrics)) {
    is_problem($api->req('GET', $path, { 'X-Real-IP' => '192.0.2.7' }), 403,
               'forbidden', "$path is not for all");
}

is($api->req('GET', $_, { 'X-Real-IP' => '192.0.2.7' })->{status}, 200,
   "$_ is") for qw(/health /ready);
is_problem($api->post($_, ''), 405, 'method_not_allowed', "POST $_")
    for qw(/health /ready /status /metrics);

my ($head) = $api->raw("HEAD /status HTTP/1.1\r\nHost: t\r\n\r\n", head => 1);
is($head->{status}, 200, 'HEAD');
cmp_ok($head->{headers}{'content-length'}, '>', 500, 'HEAD tells the length');

# ---- a node whose Redis is away serves heartbeats, so it is ready

my $alone = Exam::Api->new(Exam::server(allow => [qr/exam redis/],
    http => Exam::http_lines(exam_redis => 'unix:' . Exam::dir() . '/none')),
    redis => 0);

$res = $alone->get('/ready');
is($res->{status}, 200, 'ready without Redis');
is_deeply($res->{json}{degraded}, ['redis'], 'degraded');

my $status = $alone->status;
is_shape($status->{redis}, { state => \'down', latency_ms => 'null',
    pending => \0, reconnects => 'int', memory_used => 'null',
    memory_max => 'null', clients => 'null', maxclients => 'null' },
    'status: Redis is down, its figures are not known');
is($status->{clock_skew_ms}, undef, 'nor is the clock');
ok((grep { $_ eq 'redis' } @{ $status->{degraded} }), 'status: degraded');

# ---- rates need a second look

ok(looked(sub { defined $_[0]{requests_per_s} && defined $_[0]{load}{cpu} }),
   'requests a second, and load');

# ---- draining: a connection that is still open to a process on its way out

my $sock = $alone->connect;

$sock->syswrite("GET /ready HTTP/1.1\r\nHost: t\r\n");
$alone->get('/health');                 # the process has read that by now
kill 'QUIT', $alone->nginx->pid;
ok(Exam::wait_for {
    Exam::slurp($alone->nginx->{error_log}) =~ /gracefully shutting down/
}, 'nginx is told to leave');

($res) = $alone->raw("\r\n", sock => $sock);
is_problem($res, 503, 'unavailable', 'draining: not ready');
ok(Exam::wait_for { !$alone->nginx->running }, 'and it leaves');

done_testing();
