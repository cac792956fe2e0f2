# The bounds of commands, and entries of the control stream that are wrong: they
# are told once and stop nothing (design, sections 1 and 5).

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api;
use Exam::Command;

my $code = $Exam::Api::Code;
my @students = map { sprintf 'S%03d', $_ } 1 .. 260;

Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                        @students });

my $api = node_at('n1', workers => 1, exam_zone => 'exam:8m shards=2');
my %token = map { $_ => $api->login('30', $_)->{json}{token} }
            @students[0 .. 19];
my $log = $api->nginx->{error_log};

sub told { return scalar(() = Exam::slurp($log) =~ /$_[0]/g) }

# Takes and acknowledges until there are that many and no more; their ids.

sub drain {
    my ($api, $token, $want, $from) = @_;

    my (@all, @ack);

    Exam::wait_for {
        @ack = grep { $_ >= ($from // 0) }
               map { $_->{id} } given($api, $token, @ack);
        push @all, @ack;
        @all >= $want && !@ack;
    } 20;

    return join ' ', @all;
}

# ---- entries that are wrong

my $later = Exam::now_ms() + 300_000;
my @send = (op => 'send', id => 7, type => 'message', payload => '{}',
            expires_at => $later, to => 'all');
my @bad = (
    [unknown => 1],
    [op => 'sends', id => 7],
    [op => 'cancel'],
    [op => 'cancel', id => 'x'],
    [op => 'ack', id => 7, node => 'n1'],
    [op => 'ack', id => 7, node => 'n1', students => "S001\nS002"],
    [op => 'end', student => '../../etc'],
    [@send, id => '-7'],
    [@send, id => 2**53],
    [@send, type => ''],
    [@send, type => 'a","x":"'],
    [@send, payload => ''],
    [@send, payload => '[]'],
    [@send, payload => '{}}'],
    [@send, payload => '{"a":}'],
    [@send, payload => "{\"a\":\"\xff\"}"],
    [@send, payload => '{"a":"' . 'x' x 2048 . '"}'],
    [@send, payload => '{"a":' x 9 . '1' . '}' x 9],
    [@send, expires_at => 'soon'],
    [@send, to => 'list'],
    [@send, to => 'nobody'],
    [@send, to => 'list', students => join ' ', @students[0 .. 200]],
);

control('30', @$_) for @bad;
my $good = command('30', students => ['S001']);

ok(wait_given($api, $token{S001}, $good), 'behind wrong entries: a right one');
is($api->metric('control_bad_total'), scalar @bad, 'all wrong ones count');
is(told('is skipped'), scalar @bad, 'each is told');

command('30', students => ['S002']);
given($api, $api->login('30', 'S001')->{json}{token});
ok(wait_given($api, $api->login('30', 'S001')->{json}{token}, $good),
   'a session made since has them read again');
is(told('is skipped'), scalar @bad, 'they are told once');

# a key that is no stream

Exam::redis_cmd('SET', 'exam:{x2}:control', 1);
Exam::load_exam('x2', students => { S001 => { code => $code } });
ok($api->login('x2', 'S001')->{json}{token}, 'an exam without a stream');
ok(Exam::wait_for { told('control stream of "x2" cannot be read') }, 'is told');

my $more = command('30', students => ['S003']);

ok(wait_given($api, $token{S003}, $more), 'and stops no other');
Exam::redis_cmd('DEL', 'exam:{x2}:control');

# ---- a payload of 2 KB, and several: 20 KB a reply

my $text = '{"text":"' . 'y' x (2048 - 11) . '"}';
my @long = map { command('30', students => ['S004'], payload => $text) }
           1 .. 12;
my @got;

ok(Exam::wait_for { (@got = given($api, $token{S004})) >= 9 },
   'payloads of 2 KB: some in a reply');
is($got[0]{payload}{text}, 'y' x 2037, 'whole');
cmp_ok(scalar @got, '<', 12, 'not all of them');
is(ids(@got), join(' ', @long[0 .. $#got]), 'the first ones');
is(ids(given($api, $token{S004}, map { $_->{id} } @got)),
   join(' ', @long[@got .. 11]), 'then the rest');
given($api, $token{S004}, @long);

my ($long) = $api->raw("POST /api/v1/heartbeat HTTP/1.0\r\nHost: t\r\n"
    . "Authorization: Bearer $token{S005}\r\nContent-Length: 9\r\n\r\n"
    . "{\"seq\":7}", n => 1);

is_deeply($long->{json}{commands}, [], 'over HTTP/1.0: none');

my $one = command('30', students => ['S005'], payload => $text);

ok(wait_given($api, $token{S005}, $one), 'one of 2 KB');
($long) = $api->raw("POST /api/v1/heartbeat HTTP/1.0\r\nHost: t\r\n"
    . "Authorization: Bearer $token{S005}\r\nContent-Length: 9\r\n\r\n"
    . "{\"seq\":7}", n => 1);
is($long->{json}{commands}[0]{payload}{text}, 'y' x 2037, 'over HTTP/1.0');

# ---- a stream whose ids have all the digits there are, and go over

my $far = '18446744073709551614';

Exam::load_exam('far', students => { A => { code => $code } });

my $end = $api->login('far', 'A')->{json}{token};

Exam::redis_cmd('XADD', 'exam:{far}:control', "$far-$far", @send, id => 90);
ok(wait_given($api, $end, 90), 'the last but one id of its millisecond');
Exam::redis_cmd('XADD', 'exam:{far}:control', '*', @send, id => 91);
ok(wait_given($api, $end, '90 91'), 'the last one');
Exam::redis_cmd('XADD', 'exam:{far}:control', '*', @send, id => 92);
ok(wait_given($api, $end, '90 91 92'), 'and one of the next');

$end = $api->login('far', 'A')->{json}{token};
ok(wait_given($api, $end, '90 91 92'), 'a session made since gets all three');

# ---- 256 live ones an exam

Exam::load_exam('full', students => { map { $_ => { code => $code } }
                                          qw(A B C) });

my %full = map { $_ => $api->login('full', $_)->{json}{token} } qw(A B C);
my @ids = map { command('full') } 1 .. 257;

ok(Exam::wait_for { $api->metric('commands_refused_total') == 1 },
   'the 257th is refused');
is(told("command $ids[256] of exam \"full\" is refused"), 1, 'and told');

is(drain($api, $full{A}, 256), join(' ', @ids[0 .. 255]),
   'the 256 first ones are given');

# one is cancelled: its place is given on, and no bit of it is left behind

control('full', op => 'cancel', id => $ids[3]);
my $next = command('full');

ok(wait_given($api, $full{A}, $next),
   'one cancelled: the next is given, to him who acknowledged that one, too');
given($api, $full{A}, $next);
is(ids(given($api, $full{A})), '', 'acknowledged');
is($api->metric('commands_refused_total'), 1, 'none was refused');

# all of them over and over: places come back

for my $round (1 .. 3) {
    control('full', op => 'cancel', id => $_) for @ids, $next;
    @ids = map { command('full', students => ['B']) } 1 .. 256;
    $next = $ids[0];
    is(drain($api, $full{B}, 256, $ids[0]), join(' ', @ids),
       "round $round: 256 more");
}

is($api->metric('commands_refused_total'), 1, 'none was refused');

# ---- heartbeats of a client that lies

is($api->beat($token{S006}, { seq => 1, ack => [1 .. 64] })->{status}, 200,
   '64 ids that nobody knows');
is($api->beat($token{S006}, { seq => 1, ack => [1 .. 65] })->{status}, 400,
   '65 are refused');
is_deeply([grep { / S006$/ } keys %{ recorded($api->{spool}, 'ack') }], [],
          'nothing of it is written');

# ---- a small zone has less room: what does not fit is refused

my $small = node_at('n2', exam_zone => 'small:1m');

Exam::load_exam('s1', students => { A => { code => $code } });

my $token = $small->login('s1', 'A')->{json}{token};

@ids = map { command('s1', payload => $text) } 1 .. 60;
ok(Exam::wait_for { $small->metric('commands_refused_total') }, 'a small zone');

my @some = split / /, drain($small, $token, 10);

is("@some", join(' ', @ids[0 .. $#some]), 'gives what it took, the first ones');
cmp_ok(scalar @some, '<', 60, 'which are ' . @some);
control('s1', op => 'cancel', id => $ids[0]);
$next = command('s1', payload => $text);
ok(wait_given($small, $token, $next), 'and takes one for one that is over');

done_testing();
