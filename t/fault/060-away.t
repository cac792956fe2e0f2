# Redis and MySQL away for a while, under load: no heartbeat fails, state, last
# beats and gaps are exact afterwards, every acknowledgement gets its row.
#
# EXAM_AWAY_SECONDS, EXAM_AWAY_CANDIDATES: 10 and 100 here; the full size is
# 300 and 1,000 for Redis (`./build.sh test fault --minutes 20` sets it), twice
# the time for MySQL.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;
use Time::HiRes qw(sleep time);

use Exam;
use Exam::Api qw(claims_of);
use Exam::Process;

plan skip_all => 'one flavour is enough'
    if ($ENV{EXAM_FLAVOUR} // 'static') ne 'static';

$SIG{PIPE} = 'IGNORE';

my $seconds = $ENV{EXAM_AWAY_SECONDS} // 10;
my $count = $ENV{EXAM_AWAY_CANDIDATES} // 100;

# at least five beats of each in the time, and a gap in it
my $interval = int($seconds / 6);
$interval = 30 if $interval > 30;
$interval = 2 if $interval < 2;

my $code = $Exam::Api::Code;
my $redis = Exam::redis(aof => 1);
my $mysql = Exam::mysql();
my @names = map { sprintf 'S%04d', $_ } 1 .. $count;

is((Exam::examctl('migrate'))[0], 0, 'the tables are there');
my $worker = Exam::worker();

ok(Exam::wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') },
   'the worker has filled Redis');
Exam::load_exam('30', students => { map { $_ => { code => $code } } @names });

my $nginx = Exam::server(workers => 2, allow => [qr/exam redis/],
    http => Exam::http_lines(exam_heartbeat_interval => "${interval}s",
                             exam_zone => 'exam:16m'));
my $api = Exam::Api->new($nginx);
my %c;

for my $name (@names) {
    my $token = $api->login('30', $name)->{json}{token};

    $c{$name} = { token => $token, sid => claims_of($token)->{sid}, seq => 0,
                  due => time + rand $interval, gaps => [] };
}


# ---- Redis

my ($beats, $failed) = (0, 0);

# Beats of whoever is due until the time; one in ten leaves three out after
# $silent.

sub beats {
    my ($until, $silent) = @_;

    while (time < $until) {
        my $idle = 1;

        for my $name (@names) {
            my $c = $c{$name};

            next if $c->{due} > time;
            $idle = 0;

            if ($silent && !$c->{silent} && $name =~ /0$/ && time > $silent) {
                $c->{silent} = 1;
                $c->{due} += 3 * $interval;
                next;
            }

            my $seq = $c->{seq}++;
            my $res = $api->beat($c->{token}, { seq => $seq, state => {
                recorder => 'running', queued_segments => $seq } });

            $beats++;
            $failed++ if $res->{status} != 200;

            my $at = $res->{json}{server_time} // 0;

            push @{ $c->{gaps} }, [$c->{last}, $at]
                if $c->{last} && $at - $c->{last} > 1500 * $interval;

            $c->{last} = $at;
            $c->{due} = time + $interval;
        }

        sleep 0.01 if $idle;
    }
}

beats(time + $interval);

my $down = Exam::now_ms();

$redis->stop('KILL');
beats(time + $seconds, time + $interval);

is($failed, 0, "$beats heartbeats of $count candidates, none failed, "
   . "with Redis away for $seconds s");

$redis = Exam::Process->redis(dir => Exam::dir() . '/redis', aof => 1);
{ local $SIG{__WARN__} = sub { };
  eval { Exam::redis_cmd('PING') } for 1, 2; }

my $up = Exam::now_ms();

sub wrong_beats {
    my $at = Exam::redis_cmd('ZMSCORE', 'exam:{30}:seen', @names);
    my $said = Exam::redis_cmd('HMGET', 'exam:{30}:state', @names);
    my $wrong = 0;

    for my $i (0 .. $#names) {
        my $c = $c{$names[$i]};
        my $seq = $c->{seq} - 1;

        $wrong++ if ($at->[$i] // 0) != $c->{last}
                    || ($said->[$i] // '') !~ /"queued_segments":$seq\b/;
    }

    return $wrong;
}

ok((Exam::wait_for { !wrong_beats() } 30),
   'last beat and state of each are exact afterwards')
    or diag wrong_beats() . ' are wrong';

my %want = map { $c{$_}{sid} => $c{$_}{gaps} } @names;
my $gaps = 0;

$gaps += @$_ for values %want;
cmp_ok($gaps, '>=', $count / 10, "$gaps gaps were made");

sub gaps {
    my %got = map { $_ => [] } keys %want;

    push @{ $got{$_->[0]} }, [$_->[1], $_->[2]]
        for $mysql->sql('SELECT session, from_ms, to_ms FROM exam.gaps '
                        . 'ORDER BY from_ms');
    return \%got;
}

ok((Exam::wait_for { my $got = gaps(); my $n = 0; $n += @$_ for values %$got;
                     $n >= $gaps } 30), 'as many are in the table');
is_deeply(gaps(), \%want, 'each with its begin and its end');

sub outage {
    return scalar grep { abs($_->[0] - $down) < 5000 && $_->[1] >= $up - 1000 }
        $mysql->sql("SELECT from_ms, to_ms FROM exam.outages "
                    . "WHERE what = 'redis'");
}

ok((Exam::wait_for { outage() } 10),
   'the time without Redis is in the table')
    or diag explain [$down, $up, $mysql->sql('SELECT * FROM exam.outages')];


# ---- MySQL

my (@acks, $n);

sub upload {
    my ($name) = @_;

    my $body = pack('a16 L', $name, $n++) x 500;
    my $c = $c{$name};
    my $k = $c->{n}++ // 0;
    my $res = $api->req('PUT', "/api/v1/recordings/screen/$k",
        { Authorization => "Bearer $c->{token}",
          'Content-Type' => 'video/webm' }, $body);

    push @acks, "$c->{sid} $k " . sha256_hex($body)
        if $res->{status} == 201;
    return $res->{status} == 201;
}

sub rows {
    return map { "@$_" } $mysql->sql('SELECT session, n, '
        . 'LOWER(HEX(sha256)) FROM exam.recordings ORDER BY id');
}

$mysql->stop('KILL');

my $end = time + 2 * $seconds;
my $refused = 0;

# 1,000 in all at the full size: the spool is what fills up meanwhile
while (time < $end) {
    upload($names[rand @names]) or $refused++;
    beats(time + 0.1);
}

is($refused, 0, scalar(@acks) . ' uploads, none refused, with MySQL away for '
   . 2 * $seconds . ' s');
is($failed, 0, 'nor a heartbeat');

$mysql = Exam::Process->mysql(dir => Exam::dir() . '/mysql');

ok((Exam::wait_for { (() = rows()) >= @acks } 60), 'it drains by itself');
is_deeply([sort(rows())], [sort @acks], 'rows = acknowledgements');
ok((Exam::wait_for { !glob(Exam::spool() . '/ready/* '
                           . Exam::spool() . '/work/*') } 20),
   'the spool is empty');

done_testing();
