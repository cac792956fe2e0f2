# The flush: what heartbeats leave in Redis, and what is answered while Redis is
# away, frozen, full or emptied; and that nothing is missing after it (design,
# sections 4 and 5).

use strict;
use warnings;

use lib 't/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api qw(is_problem is_shape claims_of session);
use Exam::Process;

my $code = $Exam::Api::Code;
my %students = map { $_ => { code => $code } }
               map { sprintf 'S%03d', $_ } 1 .. 60;
my @fixture = ('30', students => \%students, ends_at => Exam::now_ms() + 1e7);

$SIG{PIPE} = 'IGNORE';

my $redis = Exam::redis(aof => 1);

sub redis_stop { $redis->stop(@_) }

sub redis_start {
    $redis = Exam::Process->redis(dir => Exam::dir() . '/redis', aof => 1);

    # the connection to the old one breaks here, and not in a test

    local $SIG{__WARN__} = sub { };
    eval { Exam::redis_cmd('PING') } for 1, 2;
}

sub node {
    my ($name, %change) = @_;

    my $spool = Exam::dir() . "/spool-$name";
    my $workers = delete $change{workers};
    my $wait = delete $change{redis};

    mkdir $spool;

    return Exam::Api->new(Exam::server(workers => $workers // 1,
        allow => [qr/exam redis/],
        http => Exam::http_lines(
            exam_node => $name, exam_spool => $spool,
            exam_heartbeat_rate => '0', exam_poll_rate => '0',
            exam_redis_timeout => '200ms', %change)),
        redis => $wait);
}

sub cold {
    my ($student, $n, $exam) = @_;

    return Exam::token(exam => $exam // '30', student => $student, gen => $n,
                       sid => Exam::sid($exam // '30', $student, $n));
}

sub seen { return Exam::redis_cmd('ZSCORE', 'exam:{30}:seen', $_[0]) }
sub state_of { return Exam::redis_cmd('HGET', 'exam:{30}:state', $_[0]) }
sub is_200 { is($_[0]{status}, 200, $_[1]) or diag($_[0]{content}) }

# Beats until Redis has the last one; returns its time.

sub settled {
    my ($api, $student, $token) = @_;

    my $at = $api->beat($token)->{json}{server_time};
    $api->flushed('30', $student, $at);
    return $at;
}

Exam::load_exam(@fixture);

my $api = node('n1', workers => 2, exam_zone => 'exam:8m shards=3');

# ---- what a beat leaves

my $login = $api->logged_in('30', 'S001');
my $token = $login->{token};
my $changes = Exam::redis_cmd('XLEN', 'exam:{30}:changes');
my $last;

$last = $api->beat($token)->{json}{server_time} for 1 .. 20;
ok(Exam::wait_for { (seen('S001') // 0) == $last },
   'seen: the time of the last beat');
is(state_of('S001'), undef, 'no state was sent, none is there');
is(session('30', 'S001')->{gen}, $login->{gen}, 'the session is as it was');
is(session('30', 'S001')->{ip}, '127.0.0.1', 'and keeps what login wrote');
is(Exam::redis_cmd('XLEN', 'exam:{30}:changes'), $changes,
   'beats are no visible change');

$api->beat($token, { seq => 100, state => { battery => 0.5 } });
settled($api, 'S001', $token);
is(state_of('S001'), '{"battery":50}', 'the state stays with the next beat');

# a token alone: the node writes the session

my $cold = cold('S002', 7);

$api->beat($cold);
ok(Exam::wait_for { session('30', 'S002') }, 'a session known by its token');
is_shape(session('30', 'S002'), {
    sid => \claims_of($cold)->{sid}, gen => \7, node => \'n1', ip => \'',
    login_at => \(claims_of($cold)->{iat} * 1000), ended => \'',
}, 'is written by the flush');

# `me` alone does it, too

my $looked = cold('S003', 7);

is_200($api->me($looked), 'a cold node answers me');
ok(Exam::wait_for { $api->me($looked)->{json}{ends_at} }, 'and learns by it');
is(seen('S003'), undef, 'without a beat nobody was seen');

# many rows: several calls, exams and shards

my @many = map { sprintf 'M%03d', $_ } 1 .. 250;
my %tokens = map { ($_ => cold($_, 1)) } @many;
my %other = map { ($_ => cold($_, 1, 'x2')) } @many;

Exam::load_exam('x2', students => {});
$api->beat($_) for map { ($tokens{$_}, $other{$_}) } @many;
ok(Exam::wait_for {
    Exam::redis_cmd('HLEN', 'exam:{30}:sessions') >= 253   # and three above
        && Exam::redis_cmd('ZCARD', 'exam:{x2}:seen') == 250;
}, '250 sessions of each of two exams');
is(scalar(grep { !defined seen($_) } @many), 0, 'each of them is seen');

# ---- an exam that is gone: its rows are dropped

Exam::redis_cmd('DEL', 'exam:{x2}', 'exam:{x2}:seen');
is_200($api->beat($other{M001}), 'beats of an exam that is gone');

my $rows = -1;

ok(Exam::wait_for {
    my $now = $api->metric('flush_rows_total');
    my $still = $now == $rows;
    $rows = $now;
    select undef, undef, undef, 0.3 unless $still;
    return $still;
}, 'its rows are not sent for ever');
is(Exam::redis_cmd('EXISTS', 'exam:{x2}:seen'), 0, 'and leave nothing');

# ---- the scripts are forgotten, the connection is cut

Exam::redis_cmd('SCRIPT', 'FLUSH');
is_200($api->login('30', 'S004'), 'NOSCRIPT: a login loads the script again');
$last = settled($api, 'S001', $token);
is(seen('S001'), $last, 'and the flush does');

Exam::redis_cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$api->beat($token);
ok(Exam::wait_for { $api->login('30', 'S004')->{status} == 200 },
   'connected again');
$last = settled($api, 'S001', $token);
is(seen('S001'), $last, 'and nothing is missing');

# ---- away: -OOM counts as away

Exam::redis_cmd('CONFIG', 'SET', 'maxmemory', 1);
is_problem($api->login('30', 'S005'), 503, 'redis_unavailable',
           'Redis is full: no login');
is_200($api->beat($token), 'but a heartbeat');
is_shape($api->logout(cold('S006', 1))->{json},
         { pending => ['null'], late_until => 'int|null',
           degraded => [\'redis'] }, 'and a logout, degraded');
Exam::redis_cmd('CONFIG', 'SET', 'maxmemory', 0);
ok(Exam::wait_for { ((session('30', 'S006') // {})->{ended} // '')
                    eq 'logout' }, 'the logout gets there');

# ---- emptied: by FLUSHALL, under a live connection

my ($quiet, $stated) = (cold('S007', 1), cold('S008', 1));

$api->beat($quiet);
$api->beat($stated, { seq => 1, state => { focus => JSON::PP::true } });
ok(Exam::wait_for { seen('S007') && seen('S008') }, 'two sessions, flushed');

my @before = (seen('S007'), seen('S008'));

Exam::redis_cmd('FLUSHALL');
$rows = $api->metric('flush_rows_total');
is_200($api->beat($token), 'Redis is empty: a heartbeat');
is_problem($api->login('30', 'S005'), 503, 'roster_loading', 'no login');
Exam::wait_for { $api->metric('flush_rows_total') > $rows + 2 };
cmp_ok($api->metric('flush_rows_total'), '>', $rows + 2,
       'rows stay dirty until they are answered');
is(Exam::redis_cmd('DBSIZE'), 0, 'nothing is written into an empty Redis');

Exam::load_exam(@fixture);
$last = settled($api, 'S001', $token);
ok(Exam::wait_for { (seen('S007') // 0) == $before[0]
                    && (seen('S008') // 0) == $before[1] },
   'filled again: the others are told without a beat of theirs');
is(session('30', 'S001')->{sid}, $login->{session}, 'sessions are back');
is(state_of('S008'), '{"focus":true}', 'states, too');
is(state_of('S007'), undef, 'who never sent one has none');
ok(Exam::wait_for { Exam::redis_cmd('ZCARD', 'exam:{30}:seen') >= 252 },
   'all of them');
is_200($api->login('30', 'S005'), 'and a login is let in');

# ---- stopped: what is answered, and what is there afterwards

sub away {
    my ($how, $api, $base) = @_;

    my $old = cold(sprintf('S%03d', $base), 1);

    $last = $api->beat($token, { seq => 1000 + $base,
                                 state => { queued_segments => $base } });
    is_200($last, "$how: a heartbeat");
    $last = $last->{json}{server_time};
    is_200($api->beat($old), "$how: of a token never seen here, too");
    is_problem($api->login('30', 'S009'), 503, 'redis_unavailable',
               "$how: no login");

    my $me = $api->me($token)->{json};
    is_deeply($me->{degraded}, ['redis'], "$how: me is degraded");
    is($me->{session}, claims_of($token)->{sid}, "$how: and answered");

    my $out = $api->logout($old, { recorded => { screen => 2 } });
    is_200($out, "$how: a logout");
    is_deeply($out->{json}{degraded}, ['redis'], "$how: degraded");
    is_deeply($out->{json}{pending},
              [{ kind => 'screen', ranges => [[0, 2]] }],
              "$how: it knows of nothing, so all is pending");
    is($api->beat($old)->{json}{reason}, 'logout', "$how: it has ended");

    return sub {
        ok(Exam::wait_for { (eval { seen('S001') } // 0) == $last },
           "$how, and back: seen is the last beat");
        is(state_of('S001'), qq({"queued_segments":$base}),
           "$how, and back: so is the state");
        ok(Exam::wait_for {
            ((session('30', sprintf 'S%03d', $base) // {})->{ended} // '')
                eq 'logout' }, "$how, and back: the logout has come");
        ok(Exam::wait_for { $api->login('30', 'S009')->{status} == 200 },
           "$how, and back: logins");
        is_deeply($api->me($token)->{json}{degraded}, [],
                  "$how, and back: me is whole");
    };
}

redis_stop();
my $after = away('stopped', $api, 10);
ok(Exam::wait_for { my $json = $api->get('/ready')->{json};
                    grep { $_ eq 'redis' } @{ $json->{degraded} } },
   'stopped: ready, degraded');
is($api->get('/ready')->{status}, 200, 'stopped: no balancer drops this node');
redis_start();
$after->();

# frozen: it takes connections and answers nothing

kill 'STOP', $redis->pid;
$after = away('frozen', $api, 11);

my $t = Time::HiRes::time();
is_200($api->beat($token), 'frozen: a heartbeat') for 1 .. 50;
cmp_ok(Time::HiRes::time() - $t, '<', 2, 'frozen: heartbeats do not wait');

$last = $api->beat($token)->{json}{server_time};
kill 'CONT', $redis->pid;
$after->();

# killed with rows on the way, and come back empty

kill 'STOP', $redis->pid;
$last = $api->beat($token)->{json}{server_time} for 1 .. 30;
redis_stop('KILL');
unlink glob(Exam::dir() . '/redis/appendonlydir/*');
$last = $api->beat($token, { seq => 5000, state => { battery => 0.1 } })
        ->{json}{server_time};
redis_start();
is(Exam::redis_cmd('DBSIZE'), 0, 'come back empty');
Exam::load_exam(@fixture);
ok(Exam::wait_for { (seen('S001') // 0) == $last },
   'come back empty: seen is the last beat');
is(state_of('S001'), '{"battery":10}', 'and the state the last one');
ok(Exam::wait_for { Exam::redis_cmd('ZCARD', 'exam:{30}:seen') >= 252 },
   'and all other sessions are told again');

# ---- away when nginx starts

redis_stop();

my $late = node('n2', redis => 0);

is_200($late->beat($token), 'away at start: a heartbeat');
is_shape($late->beat($token)->{json}, {
    server_time => 'int', next_s => 'int', ends_at => 'null',
    status => 'object|hash', commands => 'array', resend => 'array',
    stored => { screen => 'null', camera => 'null' }, upload => 'hash',
}, 'away at start: of the exam nothing is known');
is_problem($late->login('30', 'S012'), 503, 'redis_unavailable',
           'away at start: no login');
is_deeply($late->me($token)->{json}{degraded}, ['redis'],
          'away at start: me is degraded');
$last = $late->beat($token)->{json}{server_time};
redis_start();
ok(Exam::wait_for { (seen('S001') // 0) == $last },
   'away at start: then the beat gets there') ;
ok(Exam::wait_for { $late->login('30', 'S012')->{status} == 200 },
   'away at start: then logins');

done_testing();
