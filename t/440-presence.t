# Presence: gaps between beats with their cause, what the journal is told and
# when, the node's own hash; none of it needs Redis (design, sections 4 to 6).
#
# An interval of two seconds: a gap is what lasts longer than three.

use strict;
use warnings;

use lib 't/lib';

use Test::More;
use Time::HiRes qw(sleep time);

use Exam;
use Exam::Api qw(claims_of);
use Exam::Journal qw(journal_parse);
use Exam::Process;

$SIG{PIPE} = 'IGNORE';

my $code = $Exam::Api::Code;
my $redis = Exam::redis(aof => 1);

Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                    map { sprintf 'S%03d', $_ } 1 .. 20 });

my %lines = (exam_heartbeat_interval => '2s', exam_offline_after => '4s',
             exam_flush_interval => '200ms');

my $nginx = Exam::server(workers => 2, http => Exam::http_lines(%lines),
                         allow => [qr/exam redis/, qr/exam flush/,
                                   qr/signal 9/]);
my $api = Exam::Api->new($nginx);

sub records {
    my ($type, $sid) = @_;

    return grep { $_->{type} eq $type
                  && (!defined $sid || $_->{session} eq $sid) }
           map { journal_parse($_) }
           glob Exam::spool() . '/journal/*.log';
}

# waits for that many records of a session

sub told {
    my ($type, $sid, $n) = @_;

    my @records;

    Exam::wait_for { @records = records($type, $sid); @records >= $n } 10;
    # each process has a journal of its own
    @records = sort { $a->{to} <=> $b->{to} } @records;
    return @records;
}

# the gap that begins with a certain beat

sub gap {
    my ($sid, $from) = @_;

    my $gap;

    Exam::wait_for {
        ($gap) = grep { $_->{from} == $from } records(gap => $sid);
    } 10;

    return $gap;
}

sub login {
    my ($student) = @_;

    my $token = $api->logged_in('30', $student)->{token};
    return ($token, claims_of($token)->{sid});
}

# a beat and the server's time of it

sub beat {
    my ($token, %body) = @_;

    my $res = $api->beat($token, { seq => $api->{n}++, %body });

    is($res->{status}, 200, 'a heartbeat');
    return $res->{json}{server_time};
}

# ---- the first beat is told, and how far a session has come

my ($steady, $steady_sid) = login('S001');
my $first = beat($steady, client_time => Exam::now_ms() - 5000);

my ($seen) = told(presence => $steady_sid, 1);

is_deeply([@$seen{qw(exam student from to node)}],
          ['30', 'S001', $first, $first, $seen->{node}],
          'the first beat is told');
is($seen->{seq}, 0, 'with its number');

# ---- a gap: the client tried, another one was silent

my ($tried, $tried_sid) = login('S002');
my ($silent, $silent_sid) = login('S003');
my $slow = 3_600_000;                   # a clock that is an hour late

my $from_tried = beat($tried);
my $from_silent = beat($silent);
my $end = time + 3.3;

# in the meantime one is heard all the time

while (time < $end) {
    beat($steady);
    sleep 0.5;
}

my $now = Exam::now_ms();
my $to_tried = beat($tried, client_time => $now - $slow,
    missed => [{ seq => 100, client_time => $now - $slow - 2000 },
               { seq => 101, client_time => $now - $slow - 1000 },
               { seq => 102, client_time => $now - $slow - 90_000_000 },
               { seq => 103 }]);
my $to_silent = beat($silent);

my ($gap) = told(gap => $tried_sid, 1);

is_deeply([@$gap{qw(from to cause missed)}],
          [$from_tried, $to_tried, 'candidate', 2],
          'a gap with the attempts in it, by the clock of the client');

($gap) = told(gap => $silent_sid, 1);

is_deeply([@$gap{qw(from to cause missed)}],
          [$from_silent, $to_silent, 'client', 0], 'a gap of silence');

is(scalar records(gap => $steady_sid), 0, 'who was heard has none');

# ---- attempts that came through after all are no gap

beat($steady, missed => [{ seq => 1, client_time => Exam::now_ms() }]);
sleep 0.2;
is(scalar records(gap => $steady_sid), 0, 'attempts without a gap are none');

# ---- who goes is told with his last beat

my ($gone, $gone_sid) = login('S004');
beat($gone);
sleep 1;
my $last = beat($gone);

my @seen = told(presence => $gone_sid, 2);

is($seen[-1]{to}, $last, 'the last beat of one who goes offline is told');
ok($seen[-1]{gap_ms} >= 900 && $seen[-1]{gap_ms} < 3000,
   'with the longest wait');

my ($out, $out_sid) = login('S005');
beat($out);
sleep 0.3;
$last = beat($out);
is($api->logout($out)->{status}, 200, 'one logs out');
@seen = told(presence => $out_sid, 2);
is($seen[-1]{to}, $last, 'and is told with his last beat');

# ---- the node's hash

my %node = @{ Exam::redis_cmd('HGETALL', 'exam:node:t1') };
my $sessions = $api->metric('sessions');

is_deeply([sort keys %node],
          [qw(flushed_at now online sessions started_at version)],
          'the node says what it is');
ok($node{started_at} <= $first, 'since when it has its memory');
ok(Exam::redis_cmd('TTL', 'exam:node:t1') > 5, 'for a while');

my $mark = beat($steady);

ok((Exam::wait_for {
       my $at = Exam::redis_cmd('HGET', 'exam:node:t1', 'flushed_at');
       defined $at && $at > $mark;
   } 10), 'it tells up to when all is in Redis');

ok(Exam::redis_cmd('ZSCORE', 'exam:{30}:seen', 'S001') >= $mark,
   'which is true');
is(Exam::redis_cmd('HGET', 'exam:node:t1', 'sessions'), $sessions,
   'and how many sessions it has');

# ---- what Redis does not take is not told as flushed

sub node_hash { return { @{ Exam::redis_cmd('HGETALL', 'exam:node:t1') } } }

Exam::redis_cmd('RENAME', 'exam:{30}:seen', 'kept');
Exam::redis_cmd('SET', 'exam:{30}:seen', 'not a sorted set');
$mark = beat($steady);

ok((Exam::wait_for { node_hash()->{now} > $mark + 3000 } 20),
   'rows that Redis does not take');
ok(node_hash()->{flushed_at} <= $mark, 'are not flushed, and not said to be');

Exam::redis_cmd('RENAME', 'kept', 'exam:{30}:seen');
ok((Exam::wait_for { node_hash()->{flushed_at} > $mark } 20),
   'until they are');
ok(Exam::redis_cmd('ZSCORE', 'exam:{30}:seen', 'S001') >= $mark,
   'which is true again');

# ---- Redis away: gaps as ever, the outage, and what is flushed stands

my $flushed = Exam::redis_cmd('HGET', 'exam:node:t1', 'flushed_at');
my $down = Exam::now_ms();

$redis->stop;

my $from = beat($silent);
$end = time + 3.3;

while (time < $end) {
    beat($steady);
    sleep 0.5;
}

my $reloaded = Exam::now_ms();

ok($nginx->reload, 'a reload meanwhile');

my $to = beat($silent);

is_deeply([@{ gap($silent_sid, $from) // {} }{qw(to cause)}],
          [$to, 'client'], 'a gap without Redis');

$redis = Exam::Process->redis(dir => Exam::dir() . '/redis', aof => 1);

my @outages;
Exam::wait_for { @outages = grep { $_->{to} > $to } records('outage') } 20;

is($outages[0]{what}, 'redis', 'the outage of Redis is told');
ok($outages[0]{from} >= $down && $outages[0]{from} < $reloaded,
   'from when: a reload hides none of it');
ok($outages[0]{to} > $to && $outages[0]{to} <= Exam::now_ms(), 'until when');
ok(!exists $outages[0]{student}, 'of the node, not of a candidate');

ok((Exam::wait_for {
       my $at = eval { Exam::redis_cmd('HGET', 'exam:node:t1', 'flushed_at') };
       defined $at && $at > $to;
   } 20), 'then all is flushed again');

# ---- a restart: the gap is the node's, and Redis has the beat before

ok((Exam::wait_for {
       my $at = Exam::redis_cmd('ZSCORE', 'exam:{30}:seen', 'S003');
       defined $at && $at >= $to;
   } 20), 'Redis has the last beat');

$nginx->stop;
sleep 3.2;

$nginx = Exam::server(workers => 1, http => Exam::http_lines(%lines),
                      allow => [qr/exam redis/]);
$api = Exam::Api->new($nginx);
$api->{n} = 1000;

my $back = beat($silent);

is_deeply([@{ gap($silent_sid, $to) // {} }{qw(to cause)}],
          [$back, 'node'],
          'the gap over a restart is the node\'s');

# a new session has no gap with the beats of the one before

my ($new, $new_sid) = login('S003');
beat($new);
told(presence => $new_sid, 1);
is(scalar records(gap => $new_sid), 0, 'a new session begins without a gap');

done_testing();
