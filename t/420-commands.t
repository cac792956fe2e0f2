# Commands: who is given which, until when, and who hears of it (design, sections
# 3.1 and 5).

use strict;
use warnings;

use lib 't/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api qw(is_shape);
use Exam::Command;

my $code = $Exam::Api::Code;
my @students = map { sprintf 'S%03d', $_ } 1 .. 40;

Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                        @students });
Exam::load_exam('other', students => { S001 => { code => $code } });

my $api = node_at('n1', workers => 2, exam_zone => 'exam:8m shards=3');
my %token = map { $_ => $api->login('30', $_)->{json}{token} } @students;

is(ids(given($api, $token{S001})), '', 'no commands: the list is empty');

# ---- each type, to one student

my $n = 0;

for my $type (qw(message lock unlock pause resume extra_time finish upload_now))
{
    my $student = $students[$n++];
    my $payload = $type eq 'message' ? { text => "\x{fc}ml \"x\" \\" }
                : $type eq 'extra_time' ? { seconds => 600 } : {};
    my $expires = Exam::now_ms() + 60_000;
    my $id = command('30', type => $type, students => [$student],
                     payload => $payload, expires_at => $expires);

    ok(wait_given($api, $token{$student}, $id), "$type: is given");

    my ($command) = given($api, $token{$student});

    is_shape($command, { id => \$id, type => \$type, payload => 'hash',
                         expires_at => \$expires }, "$type: its members");
    is_deeply($command->{payload}, $payload, "$type: its payload");
    is(ids(map { given($api, $token{$_}) } @students[8 .. 15]), '',
       "$type: to nobody else");

    given($api, $token{$student}, $id);
    is(ids(given($api, $token{$student})), '', "$type: until acknowledged");
}

# ---- all, and a list

my $all = command('30');

ok(wait_given($api, $token{$_}, $all), "all: $_") for @students[0, 10, 39];

my $late = $api->login('30', 'S020')->{json}{token};

ok(wait_given($api, $late, $all), 'all: one who logs in later, too');
given($api, $token{S001}, $all);
is(ids(given($api, $token{S001})), '', 'all: not to him who has run it');
is(ids(given($api, $token{S002})), $all, 'all: but to the others');

my $other = $api->login('other', 'S001')->{json}{token};

is(ids(given($api, $other)), '', 'all: nobody of another exam');
control('30', op => 'cancel', id => $all);
ok(wait_given($api, $token{S002}, ''), 'all: cancelled');

my $list = command('30', students => [@students[4, 6, 8]]);

ok(wait_given($api, $token{$students[8]}, $list), 'a list: the third of it');
is(ids(map { given($api, $token{$_}) } @students[4 .. 8]),
   "$list $list $list", 'a list: those of it alone');

# several entries of one id are one command

command('30', id => $list, students => [$students[5]]);
ok(wait_given($api, $token{$students[5]}, $list), 'a list that goes on');
given($api, $token{$_}, $list) for @students[4, 5, 6, 8];

# ---- order, and how many in one reply

my @ids = map { 3000 - $_ } 1 .. 20;

command('30', id => $_, students => ['S030']) for @ids;
ok(wait_given($api, $token{S030}, join ' ', (sort @ids)[0 .. 15]),
   'in the order of their ids, sixteen in a reply');
is(ids(given($api, $token{S030}, (sort @ids)[0 .. 15])),
   join(' ', (sort @ids)[16 .. 19]), 'the rest behind the acknowledgement');
given($api, $token{S030}, @ids[0 .. 3]);
is(ids(given($api, $token{S030})), '', 'and then none');

# acknowledged twice, unknown, another's, as text

my $mine = command('30', students => ['S031']);

ok(wait_given($api, $token{S031}, $mine), 'one more');

# those of its own shard among them
my @others = @students[20 .. 29, 31 .. 39];

given($api, $token{$_}, $mine, 1, 0, 2**53 - 1) for @others;
is(ids(given($api, $token{S031})), $mine, "another's word is no word");
is($api->beat($token{S031}, { seq => 1, ack => ["$mine", 'x'] })->{status},
   200, 'an id as text');
is(ids(given($api, $token{S031}, $mine)), '', 'counts');

# ---- expiry

my $short = command('30', students => ['S033'], expires_s => 1);
my $long = command('30', students => ['S033']);

ok(wait_given($api, $token{S033}, "$short $long"), 'two, for a time');
ok(wait_given($api, $token{S033}, $long), 'the one that is over is left out');
given($api, $token{S033}, $short);
ok(Exam::wait_for { reported('30', 'ack')->{"$short S033"} },
   'who ran it may say so late');

command('30', students => ['S034'], expires_at => Exam::now_ms() - 1000);
my $after = command('30', students => ['S034']);
ok(wait_given($api, $token{S034}, $after), 'what was over is not entered');

# ---- two sessions of a student: what one has run, the other has

my $both = command('30', students => ['S035']);

ok(wait_given($api, $token{S035}, $both), 'a first session');

my $second = $api->login('30', 'S035')->{json}{token};

ok(wait_given($api, $second, $both), 'and the one that has replaced it');
given($api, $second, $both);
is(ids(given($api, $second)), '', 'acknowledged');

my $third = $api->login('30', 'S035')->{json}{token};
my $next = command('30', students => ['S035']);

ok(wait_given($api, $third, $next), 'is not given to a third one');

# ---- who is told

ok(Exam::wait_for {
    my ($sent, $ack) = map { reported('30', $_) } qw(sent ack);
    $sent->{"$next S035"} && $ack->{"$both S035"} && $ack->{"$mine S031"}
        && $sent->{"$long S033"} && $sent->{"$all S001"}
}, 'the control stream knows what was given and acknowledged');

my ($sent, $ack) = map { reported('30', $_) } qw(sent ack);

is(scalar(grep { $_ != 1 } values %$ack), 0, 'each acknowledgement once');
is_deeply([grep { $ack->{"$mine $_"} } @others], [],
          'and none of what was not given');
is_deeply([grep { !$sent->{$_} } keys %$ack], [], 'all of them were given');

ok(Exam::wait_for {
    my $written = recorded($api->{spool}, 'ack');
    join(' ', sort keys %$written) eq join ' ', sort keys %$ack;
}, 'the journal has the same acknowledgements');
is_deeply([sort keys %{ recorded($api->{spool}, 'sent') }],
          [sort keys %$sent], 'and the same commands given');

cmp_ok($api->metric('commands_acked_total'), '==', keys %$ack,
       'the counter has them, too');
cmp_ok($api->metric('commands_sent_total'), '>=', keys %$sent,
       'given: once a session');

# ---- another connection, another protocol

my $shown = command('30', students => ['S036']);

ok(wait_given($api, $token{S036}, $shown), 'over HTTP/1.1');

my ($old) = $api->raw("POST /api/v1/heartbeat HTTP/1.0\r\nHost: t\r\n"
                      . "Authorization: Bearer $token{S036}\r\n"
                      . "Content-Length: 9\r\n\r\n{\"seq\":7}", n => 1);

is($old->{json}{commands}[0]{id}, $shown, 'over HTTP/1.0');

my $h2 = node_at('h2', listen => ' http2');

my $file = Exam::spew(Exam::dir() . '/body', '{"seq":8}');
my $answer;

ok(Exam::wait_for {
    my ($rc, $out) = Exam::run('curl', '-s', '--http2-prior-knowledge', '-m',
        10, '--data-binary', "\@$file", '-H',
        "Authorization: Bearer $token{S036}",
        $h2->nginx->url . '/api/v1/heartbeat');

    $answer = eval { JSON::PP->new->utf8->decode($out) };
    $answer && @{ $answer->{commands} };
}, 'over HTTP/2');
is($answer && $answer->{commands}[0]{id}, $shown, 'over HTTP/2: the same');

# ---- Redis away: no newer ones, the known ones go on

my $known = command('30', students => ['S037']);

ok(wait_given($api, $token{S037}, $known), 'known');
Exam::redis()->stop('KILL');
ok(Exam::wait_for { $api->status->{redis}{state} ne 'up' }, 'Redis is away');
is(ids(given($api, $token{S037})), $known, 'it goes on');
is(ids(given($api, $token{S037}, $known)), '', 'and is acknowledged');
ok(Exam::wait_for { recorded($api->{spool}, 'ack')->{"$known S037"} },
   'the journal knows it');

done_testing();
