# The zone: it survives reload and killed processes, knows its shards, evicts
# what may go, and full it sheds logins but no heartbeat (design, sections 4
# and 8).

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api qw(is_problem raw_request claims_of session);
use Exam::Process;

$SIG{PIPE} = 'IGNORE';

my $code = $Exam::Api::Code;
my %students = map { $_ => { code => $code } } 'S001' .. 'S060';
my $redis = Exam::redis(aof => 1);

Exam::load_exam('30', students => \%students);

sub node {
    my (%opt) = @_;

    my $change = delete $opt{change} // {};

    return Exam::Api->new(Exam::server(%opt,
        allow => [qr/exam redis/, qr/exited on signal 9/,
                  @{ $opt{allow} // [] }],
        http => Exam::http_lines(exam_heartbeat_rate => '0',
                                 exam_poll_rate => '0', %$change)));
}

# Changes lines of the configuration; the next reload reads them.

sub edit {
    my ($api, $from, $to) = @_;

    my $file = $api->nginx->{dir} . '/nginx.conf';
    my $text = Exam::slurp($file);

    $text =~ s/$from/$to/ or die "no $from in $file\n";
    Exam::spew($file, $text);
}

sub redis_stop { $redis->stop }

sub redis_start {
    $redis = Exam::Process->redis(dir => Exam::dir() . '/redis', aof => 1);

    # the connection to the old one breaks here, and not in a test

    local $SIG{__WARN__} = sub { };
    eval { Exam::redis_cmd('PING') } for 1, 2;
}

sub cold {
    my ($student, $n) = @_;

    return Exam::token(exam => '30', student => $student, gen => $n // 1,
                       sid => Exam::sid('30', $student, $n // 1));
}

# ---- reload keeps what only the zone knows: Redis is away all the time

my $api = node(workers => 2, change => { exam_zone => 'exam:8m shards=4' });
my @tokens = map { $api->login('30', $_)->{json}{token} } 'S001' .. 'S010';

Exam::redis_cmd('HSET', 'exam:{30}:stored',
                'S001:' . claims_of($tokens[0])->{sid} . ':screen', 5);
ok(Exam::wait_for { $api->beat($tokens[0])->{json}{stored}{screen} == 5 },
   'the node has learned of something stored');
$api->beat($_, { seq => 9 }) for @tokens;
is($api->logout($tokens[1])->{status}, 200, 'one logs out');

my $beats = $api->metric('heartbeats_total');

redis_stop();
$api->nginx->reload;

is($api->metric('sessions'), 10, 'reload: all sessions are there');
is($api->metric('online_students'), 9, 'reload: in their places');
is($api->metric('heartbeats_total'), $beats, 'reload: counters, too');

my $beat = $api->beat($tokens[0], { seq => 9 })->{json};

is($beat->{stored}{screen}, 5, 'reload: what was stored');
ok($beat->{ends_at}, 'reload: the end of the exam');
is($api->metric('heartbeats_total'), $beats,
   'reload: the number of the last heartbeat');
is($api->beat($tokens[1])->{json}{reason}, 'logout', 'reload: who has ended');
is($api->beat($_)->{status}, 200, 'reload: a heartbeat')
    for @tokens[2 .. 9];

# several reloads under way, heartbeats without a gap

my $failed = 0;

for (1 .. 5) {
    kill 'HUP', $api->nginx->pid;

    for (1 .. 40) {
        $failed++ if $api->beat($tokens[3])->{status} != 200;
    }
}

is($failed, 0, 'heartbeats through five reloads');
is($api->metric('zone_resets_total'), 0, 'no shard was emptied');
redis_start();
ok($api->flushed('30', 'S004',
                 $api->beat($tokens[3])->{json}{server_time}),
   'Redis is back: the last heartbeat is there');

# requests that wait for Redis while their process is told to leave

my $slow = node(change => { exam_redis_timeout => '5s' });
my $mine = $slow->login('30', 'S041')->{json}{token};

kill 'STOP', $redis->pid;

my @waiting = map { my $sock = $slow->connect; $sock->syswrite($_); $sock } (
    raw_request('POST', '/api/v1/login', [],
                qq({"exam":"30","student":"S042","code":"$code"})),
    raw_request('GET', '/api/v1/me', ["Authorization: Bearer $mine"]),
    raw_request('POST', '/api/v1/logout', ["Authorization: Bearer $mine"],
                '{}'));

$slow->get('/health');                  # the process has read them by now
kill 'HUP', $slow->nginx->pid;
Exam::wait_for {
    Exam::slurp($slow->nginx->{error_log}) =~ /gracefully shutting down/
};
kill 'CONT', $redis->pid;
is(join(' ', map { ($slow->raw('', sock => $_))[0]{status} // 'none' }
        @waiting), '200 200 200', 'reload: who waits for Redis is answered');

# ---- another number of shards is refused, the old configuration goes on

Exam::allow_errors(qr/exam_zone "exam" had previously 4 shards/,
                   qr/exam_zone "exam" has another layout/);
edit($api, qr/8m shards=4/, '4m shards=2');
kill 'HUP', $api->nginx->pid;
ok(Exam::wait_for {
    Exam::slurp($api->nginx->{error_log}) =~ /had previously 4 shards/
}, 'another number of shards: the reload is refused');
is($api->beat($tokens[4])->{status}, 200, 'and the old processes go on');
is($api->metric('sessions'), 10, 'with all sessions');

# ---- another size: empty, and filled again by the heartbeats

edit($api, qr/4m shards=2/, '16m shards=4');
$api->nginx->reload;
$api->connected;
is($api->metric('sessions'), 0, 'another size: the zone is empty');
$api->beat($_) for @tokens;
is($api->metric('sessions'), 10, 'and is filled by the next heartbeats');
ok(Exam::wait_for {
    ($api->beat($tokens[1])->{json}{reason} // '') eq 'logout'
}, 'who had ended is learned from Redis');
is($api->beat($tokens[0])->{json}{stored}{screen}, 5,
   'and what was stored')
    if Exam::wait_for {
        defined $api->beat($tokens[0])->{json}{stored}{screen}
    };

# ---- killed worker processes

my $gap = 0;

for my $round (1 .. 6) {
    my ($victim) = $api->nginx->workers;

    kill 'KILL', $victim;

    # a connection may have been to the dead process: the client tries again

    for (1 .. 20) {
        my $res = $api->beat($tokens[5]);
        $res = $api->beat($tokens[5]) if $res->{status} == 599;
        $gap++ if $res->{status} != 200;
    }

    Exam::wait_for { grep { $_ != $victim } $api->nginx->workers };
}

is($gap, 0, 'killed processes: the next try is answered');
is($api->metric('sessions'), 10, 'killed processes: the sessions are there');

my $last = $api->beat($tokens[5])->{json}{server_time};

ok($api->flushed('30', 'S006', $last),
   'killed processes: another one goes on with the flush');

# rows that a killed process had on the way, with Redis killed, too

$api->beat($tokens[6], { seq => 1, state => { battery => 1 } });
$api->flushed('30', 'S007', $api->beat($tokens[6])->{json}{server_time});
kill 'STOP', $redis->pid;
$last = $api->beat($tokens[6], { seq => 2, state => { battery => 0.4 } })
        ->{json}{server_time};
select undef, undef, undef, 0.3;        # three intervals: it is on the way
kill 'KILL', $api->nginx->workers;
$redis->stop('KILL');
redis_start();
$api->connected;
ok(Exam::wait_for {
    (Exam::redis_cmd('ZSCORE', 'exam:{30}:seen', 'S007') // 0) >= $last
}, 'rows on the way are told again');
ok(Exam::wait_for {
    Exam::redis_cmd('HGET', 'exam:{30}:state', 'S007') eq '{"battery":40}'
}, 'with their state');

# ---- a binary upgrade: the zone is new, nobody is shown as lost

# nginx does not change its binary as a child of who started it: as a daemon

my $binary = $ENV{TEST_NGINX_BINARY} // Exam::bin('nginx');
my $at = $api->nginx->{dir};
my ($old, $new);

$api->nginx->stop('QUIT');
edit($api, qr/daemon off;/, 'daemon on;');
Exam::run($binary, '-p', "$at/", '-c', "$at/nginx.conf", '-e',
          "$at/logs/error.log");

sub master {
    my ($not) = @_;

    return Exam::wait_for {
        my ($pid) = Exam::slurp("$at/nginx.pid") =~ /^(\d+)/;
        $pid && $pid != ($not // 0) && $pid;
    };
}

END { kill 'TERM', grep { $_ && -e "/proc/$_" } $old, $new }

$old = master();
Exam::wait_for { eval { $api->beat($tokens[7])->{status} == 200 } };
kill 'USR2', $old;
$new = master($old);
ok($new, 'upgrade: a new master process');
kill 'QUIT', $old;
ok(Exam::wait_for { !-e "/proc/$old" }, 'upgrade: the old one leaves');
is($api->beat($tokens[7])->{status}, 200, 'upgrade: a heartbeat');
ok(Exam::wait_for { $api->login('30', 'S020')->{status} == 200 },
   'upgrade: a login');
kill 'QUIT', $new;
ok(Exam::wait_for { !-e "/proc/$new" }, 'upgrade: which leaves when told');

# ---- full: live sessions are never evicted

my $small = node(change => { exam_zone => 'small:1m',
                             exam_offline_after => '1h' });
my @fill = map { cold("F$_") } 1000 .. 3000;
my $n = 0;

for (@fill) {
    $small->beat($_);
    $n++;
    last if $n % 50 == 0 && $small->metric('zone_full_total');
}

my $room = $small->metric('sessions');

cmp_ok($room, '>=', 330, "full: $room sessions in 1 MB");
cmp_ok($n, '>', $room, 'full: it is');
is($small->metric('zone_evictions_total'), 0, 'full: nobody was evicted');

my $out = cold('OUT');

is($small->beat($out)->{status}, 200, 'full: a heartbeat of one without room');
is_deeply($small->beat($out)->{json}{stored},
          { screen => undef, camera => undef },
          'full: of which nothing is known');
is($small->me($out)->{status}, 200, 'full: me');
is($small->beat($fill[0])->{status}, 200, 'full: a heartbeat of one inside');
is_problem($small->login('30', 'S030'), 503, 'overloaded', 'full: no login');
is(session('30', 'S030'), undef, 'full: which has not reached Redis');
cmp_ok($small->metric('shed_total'), '>=', 1, 'full: it is counted');
ok((grep { $_ eq 'zone_full' } @{ $small->status->{alerts} }),
   'full: and an alert');

# an ended session gives its place, once Redis knows of its end

is($small->logout($fill[7])->{status}, 200, 'full: one logs out');
ok(Exam::wait_for { $small->login('30', 'S030')->{status} == 200 },
   'full: then there is room for a login');
is($small->metric('zone_evictions_total'), 1, 'by one eviction');
is($small->metric('sessions'), $room, 'the zone is as full as before');
is_problem($small->login('30', 'S031'), 503, 'overloaded', 'and full');
is($small->beat($fill[7])->{status}, 200,
   'a token of the evicted one is taken as on a cold node')
    if $small->logout($fill[8])->{status} == 200
       && Exam::wait_for { ((session('30', 'F1008') // {})->{ended} // '')
                           eq 'logout' };

# ---- dirty sessions are not evicted: Redis is away, all of them are

my $dirty = node(change => { exam_zone => 'dirty:1m',
                             exam_offline_after => '1s' });

redis_stop();
$dirty->beat($_) for @fill[0 .. $n];
select undef, undef, undef, 1.2;        # exam_offline_after
$dirty->beat(cold("G$_")) for 1 .. 60;
is($dirty->metric('zone_evictions_total'), 0,
   'offline, but not yet told to Redis: nobody is evicted');
redis_start();

# ---- clean and offline: the oldest goes

ok(Exam::wait_for {
    $dirty->beat(cold('H' . $dirty->{h}++));
    $dirty->metric('zone_evictions_total') > 0;
}, 'told to Redis: the offline ones give way');
is($dirty->beat(cold('H0'))->{status}, 200, 'to new sessions');
ok(Exam::wait_for { $dirty->login('30', 'S040')->{status} == 200 },
   'and to logins');
is($dirty->metric('zone_resets_total'), 0, 'no shard was emptied');

# ---- more exams than a shard has rows for

my $many = node();
my %own;

for my $i (1 .. 3) {
    my $ends_at = Exam::now_ms() + $i * 3_600_000;

    Exam::load_exam("own$i", students => \%students, ends_at => $ends_at);
    $own{ $many->login("own$i", 'S001')->{json}{token} } = $ends_at;
}

my @exams = map { "many$_" } 1 .. 140;
my @of = map { Exam::token(exam => $_, student => 'S001') } @exams;

is(scalar(grep { $many->beat($_)->{status} != 200 } @of), 0,
   'heartbeats of 140 exams');
cmp_ok($many->metric('sessions'), '>=', 100,
       'of which over a hundred are kept');
is(scalar(grep { $many->beat($_)->{json}{ends_at} != $own{$_} } keys %own), 0,
   'none takes the place of an exam that has sessions');

done_testing();
