# What a refill brings beside exams and recordings: sessions and their `stored`,
# segments that are lost, commands that have not expired and who has run them.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib', 't/service/lib';

use Build;
use Ctl;
use JSON::PP ();
use Test::More;

stack();

my $dir = dir();
my $program = Build::program('live');
my $now = int(time * 1000);

sub live {
    my (@words) = @_;

    open my $out, '-|', $program, "$dir/exam.ini", @words or die;
    my @lines = <$out>;
    close $out or die "live @words: $?\n";
    chomp @lines;

    return join '; ', @lines;
}

sub refill {
    my ($name) = @_;

    redis('FLUSHALL');
    is(live('refill'), 'spool refill: ok', $name);
}

sub entries {
    my ($exam) = @_;
    return map { { @{ $_->[1] } } }
           grep { $_->[1][1] !~ /\A(?:exam|roster)\z/ }
                @{ redis('XRANGE', key($exam, 'control'), '-', '+') };
}

ok_ctl('exam', 'create', $_, '--title', $_) for qw(30 31 old);
ok_ctl('roster', 'generate', $_, '--count', 450, '--codes', "$dir/$_.csv")
    for qw(30 old);
ok_ctl('exam', 'open', $_) for qw(30 old);


# ---- sessions

sub sid { return sprintf '%s%028x', @_ }

sub session {
    my ($exam, $student, $sid, $gen, %opt) = @_;

    sql("INSERT INTO sessions (session, exam, student, gen, node, ip, "
        . "login_at, ended) VALUES ('$sid', '$exam', '$student', $gen, "
        . "'" . ($opt{node} // 'n1') . "', '" . ($opt{ip} // '') . "', "
        . ($opt{login_at} // 'NULL') . ", '" . ($opt{ended} // '') . "')");
}

my ($old, $new) = (sid('aaaa', 1), sid('aaaa', 2));
my $gone = sid('bbbb', 1);
my ($low, $high) = (sid('cccc', 1), sid('cccc', 2));

session('30', 's001', $new, 200, node => 'n2', ip => '2001:db8::1',
        login_at => 200);
session('30', 's001', $old, 100, login_at => 100, ended => 'replaced');
session('30', 's002', $gone, 50, ended => 'logout');
session('30', 's003', $high, 7);
session('30', 's003', $low, 7);
session('old', 's001', sid('dddd', 1), 1);
sql('INSERT INTO sessions (session, exam, student, gen, node) VALUES '
    . join ',', map { sprintf "('%s', '30', 's%03d', %d, 'n1')",
                              sid('eeee', $_), $_, $_ } 4 .. 450);
sql("INSERT INTO recordings (upload_id, exam, student, session, kind, n, "
    . "bytes, sha256, content_type, received_at, stored_at, node, store, path)"
    . " VALUES " . join ',', map {
        "('t1-$_->[2]', '30', 's001', '$_->[0]', '$_->[1]', $_->[2], 1, "
        . "REPEAT('x', 32), 'video/webm', 1, 2, 't1', 'local', 'p')"
    } [$new, 'screen', 0], [$new, 'screen', 2], [$old, 'camera', 1]);

ok_ctl('exam', 'close', 'old');
ok_ctl('exam', 'archive', 'old');

refill('refill');

{
    my $sessions = member('30', 'sessions');

    is(scalar keys %$sessions, 450, 'each student has a session');
    is($sessions->{s001}, "{\"sid\":\"$new\",\"gen\":200,\"node\":\"n2\","
       . '"ip":"2001:db8::1","login_at":200,"ended":""}',
       'the latest one, as the scripts write it');
    is(JSON::PP->new->decode($sessions->{s002})->{ended}, 'logout',
       'with its end');
    is(JSON::PP->new->decode($sessions->{s003})->{sid}, $high,
       'of two of a generation the higher id');
    is(JSON::PP->new->decode($sessions->{s450})->{gen}, 450,
       'more than one script call');

    my $stored = member('30', 'stored');

    is($stored->{"s001:$new:screen"}, 0, 'stored from the recordings');
    is($stored->{"s001:$new:camera"}, -1, '-1 where nothing is stored');
    is($stored->{"s001:$old:$_"}, -1, "an earlier session, $_")
        for qw(screen camera);
    is(scalar keys %$stored, 2 * 452 + 1,
       'all sessions, all kinds, the bytes of who has sent any');

    ok(!redis('EXISTS', key('old', $_)), "of an archived exam no $_")
        for qw(sessions stored control);
}


# ---- lost segments

{
    sql("INSERT INTO lost_segments (session, kind, n, exam, student, at, "
        . "reason) VALUES ('$new', 'screen', 1, '30', 's001', 1, ''), "
        . "('$new', 'screen', 2, '30', 's001', 1, 'late'), "
        . "('$old', 'camera', 0, '30', 's001', 1, 'disk full')");

    refill('with lost segments');

    my $seg = member('30', 'seg:s001');
    my $stored = member('30', 'stored');

    is($seg->{"$new:screen:1"}, 'lost - - - -', 'a lost segment');
    like($seg->{"$new:screen:2"}, qr/\Astored /, 'a stored one is not lost');
    is($seg->{"$old:camera:0"}, 'lost - - - - disk full', 'with its reason');
    is($stored->{"s001:$new:screen"}, 2, 'stored goes on over it');
    is($stored->{"s001:$old:camera"}, 1, 'in an earlier session too');
}


# ---- what Redis has already is not lowered

{
    redis('DEL', 'exam:loaded');
    redis('HSET', key('30', 'stored'), "s001:$new:camera", 5);
    redis('HSET', key('30', 'sessions'), 's001',
          "{\"sid\":\"$old\",\"gen\":900,\"node\":\"n1\",\"ip\":\"\","
          . '"login_at":1,"ended":""}');
    redis('HSET', key('30', 'sessions'), 's003',
          "{\"sid\":\"$high\",\"gen\":7,\"node\":\"n1\",\"ip\":\"\","
          . '"login_at":1,"ended":"forced"}');
    redis('HSET', key('30', 'sessions'), 's004', 'garbage');
    redis('HSET', key('30', 'sessions'), 's005',
          "{\"sid\":\"$old\",\"gen\":1,\"ended\":\"\"}");
    redis('HSET', key('30', 'sessions'), "s00$_",
          "{\"sid\":\"" . sid($_ == 7 ? 'aaaa' : 'ffff', 9)
          . "\",\"gen\":$_,\"ended\":\"\"}") for 7, 8;
    sql("UPDATE sessions SET ended = 'logout' WHERE student = 's006'");

    is(live('refill'), 'spool refill: ok', 'only exam:loaded was gone');

    my %s = map { $_ => JSON::PP->new->decode(
        redis('HGET', key('30', 'sessions'), $_)) } map { "s00$_" } 1, 3 .. 8;

    is($s{s001}{gen}, 900, 'a higher generation stays');
    is($s{s003}{ended}, 'forced', 'an end stays');
    is($s{s004}{gen}, 4, 'what nobody can read is replaced');
    is($s{s005}{gen}, 5, 'so is a lower generation');
    is($s{s006}{ended}, 'logout', 'an end that Redis does not have');
    is_deeply([$s{s007}{sid}, $s{s008}{sid}], [sid('eeee', 7), sid('ffff', 9)],
              'of one generation the higher id');
    is(redis('HGET', key('30', 'stored'), "s001:$new:camera"), 5,
       'stored stays');
}


# ---- commands

{
    my $send = sub {
        return json_ctl('command', 'send', '30', @_)->{id};
    };

    my $all = $send->('--to', 'all', '--type', 'message', '--payload',
                      '{"text":"all"}');
    my $late = $send->('--to', 'all', '--type', 'upload_now');
    my $one = $send->('--to', 's007', '--type', 'lock');
    my $void = $send->('--to', 's007', '--type', 'upload_now');

    sql("UPDATE students SET group_name = 'g' WHERE exam = '30' AND "
        . "student <= 's300'");

    my $group = $send->('--to', 'group:g', '--type', 'upload_now');

    ok_ctl('command', 'cancel', $void);
    sql("UPDATE commands SET expires_at = $now - 1 WHERE id = $late");
    sql("UPDATE deliveries SET state = 'confirmed' WHERE command = $all AND "
        . "student > 's150'");
    sql("UPDATE deliveries SET state = 'confirmed' WHERE command = $one");
    sql("UPDATE deliveries SET state = 'sent' WHERE command = $group");

    refill('with commands');

    my @e = entries('30');

    is_deeply([map { "$_->{op} $_->{id}" } @e],
              ["send $all", ("ack $all") x 2, "send $one", "ack $one",
               "cancel $void", ("send $group") x 2],
              'what has not expired, by rising id, each with its acks');
    is_deeply([@{ $e[0] }{qw(type payload to)}],
              ['message', '{"text":"all"}', 'all'], 'the command as it was');
    is($e[0]{expires_at}, value("SELECT expires_at FROM commands WHERE "
                                . "id = $all"), 'with its expiry');
    is(scalar(split ' ', "$e[1]{students} $e[2]{students}"), 300,
       'who has confirmed it');
    is($e[1]{node}, 't1', 'by a node');
    is("$e[3]{to} $e[3]{students}", 'list s007', 'to one');
    is(scalar(split ' ', "$e[6]{students} $e[7]{students}"), 300,
       'to a group');
    like(redis('HGET', key('30', 'flags'), 's007'), qr/"locked":true/,
         'lasting effects are among the flags');
    is_deeply([entries('31')], [], 'nothing of another exam');
}

# another program changes the exam: nothing is announced behind its back
{
    my $client = Ctl::mysql()->socket;

    open my $holder, '-|', "exec mariadb --no-defaults -uroot -S $client "
        . "--unbuffered -N -e \"SELECT GET_LOCK('exam-live:30', 0); "
        . "DO SLEEP(60)\" 2>/dev/null" or die;
    <$holder>;

    redis('FLUSHALL');
    is(live('refill'), 'refill: busy', 'a refill waits for a change');
    ok(!redis('EXISTS', 'exam:loaded'), 'and nobody is let in meanwhile');

    sql("KILL " . value("SELECT id FROM information_schema.processlist "
                        . "WHERE info LIKE '%SLEEP(60)%' AND info NOT LIKE "
                        . "'%processlist%'"));
    { no warnings; close $holder }

    is(live('refill'), 'spool refill: ok', 'then it is done');
}

done_testing();
