# GET /api/v1/recordings/{kind}/{n}?wait_s=: answered when the state changes.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use IO::Select;
use Time::HiRes qw(time);

use Exam;
use Exam::Api qw(is_problem);

my $nginx = Exam::server(workers => 1,
    http => Exam::http_lines(exam_poll_rate => '0'),
    allow => [qr/connection refused|exam redis/i]);
my $api = Exam::Api->new($nginx);
my $url = $nginx->url;

Exam::load_exam('30', students => { S001 => { code => $Exam::Api::Code } });

my $login = $api->login('30', 'S001')->{json};
my ($token, $session) = @$login{qw(token session)};


sub path { return "/api/v1/recordings/$_[0]/$_[1]" }


sub put {
    my ($n, $body) = @_;

    return Exam::request('PUT', $url . path('screen', $n),
        { Authorization => "Bearer $token", 'Content-Type' => 'video/webm' },
        $body)->{status};
}


# a request on a connection of its own, not answered yet

sub ask {
    my ($n, $wait) = @_;

    my $sock = $api->connect;

    $sock->syswrite(Exam::Api::raw_request('GET',
        path('screen', $n) . "?wait_s=$wait", ["Authorization: Bearer $token"]));

    return $sock;
}


sub answer {
    my ($sock) = @_;

    my ($res) = $api->raw('', sock => $sock, timeout => 20);
    return $res // { status => 599 };
}


# nothing has come: the server is known to have seen what was asked before,
# since one process answers in order

sub silent {
    my ($sock) = @_;

    $api->get('/health');
    return !IO::Select->new($sock)->can_read(0);
}


sub settle {
    my ($n, $state) = @_;

    my $field = "$session:screen:$n";
    my $value = Exam::redis_cmd('HGET', 'exam:{30}:seg:S001', $field);

    Exam::redis_cmd('HSET', 'exam:{30}:seg:S001', $field,
                    $value =~ s/^\w+/$state/r);
}


# ---- the argument

for my $bad ('31', '-1', 'x', '', '1.5', '030') {
    is_problem($api->get(path('screen', 0) . "?wait_s=$bad", $token), 400,
               'bad_argument', "wait_s '$bad'");
}

my $start = time;
is_problem($api->get(path('screen', 0) . '?wait_s=0', $token), 404,
           'not_found', '0 does not wait');
is_problem($api->get(path('screen', 0) . '?wait_s=1', $token), 404,
           'not_found', 'nothing came in the time');
cmp_ok(time - $start, '>=', 1, 'which was waited');


# ---- from nothing to received, by this process

{
    my $sock = ask(0, 30);

    ok(silent($sock), 'it waits');
    is(put(0, 'content'), 201, 'an upload');

    my $res = answer($sock);
    is($res->{status}, 200, 'is told to who waits');
    is($res->{json}{state}, 'received', 'as received');
}


# ---- from received to stored, by the ledger

{
    my @socks = map { ask(0, 30) } 1 .. 5;

    ok(silent($socks[-1]), 'five wait');
    ok((Exam::wait_for { Exam::redis_cmd('HGET', 'exam:{30}:seg:S001',
                                         "$session:screen:0") }),
       'the ledger knows the upload');
    settle(0, 'stored');
    is_deeply([map { answer($_)->{json}{state} } @socks],
              [('stored') x 5], 'all are told that it is stored');
}


# ---- from nothing to lost, and what is known is told at the end of the time

{
    my $sock = ask(1, 30);

    ok(silent($sock), 'it waits');
    is($api->post(path('screen', 1) . '/lost', {}, $token)->{status}, 200,
       'the client gives it up');
    is(answer($sock)->{json}{state}, 'lost', 'who waits is told');
    is($api->get(path('screen', 1) . '?wait_s=1', $token)->{json}{state},
       'lost', 'no change in the time: told as it is');
}


# ---- what is stored changes no more: nothing is waited for

{
    is(answer(ask(0, 30))->{json}{state}, 'stored', 'told at once');
}


# ---- clients that leave

{
    my $before = $api->status->{current_connections};
    my @socks = map { ask(2, 30) } 1 .. 20;

    ok(silent($socks[-1]), 'twenty wait');
    ok((Exam::wait_for { $api->status->{current_connections}
                         >= $before + 20 }), 'all of them');

    close $_ for @socks;

    ok((Exam::wait_for { $api->status->{current_connections} <= $before }),
       'and leave: their connections are closed');
    is(put(2, 'content'), 201, 'what they waited for comes');
}


# ---- Redis away: what is known less is no change

{
    Exam::redis_cmd('HSET', 'exam:{30}:seg:S001', "$session:screen:3",
                    'received n2 - - -');

    my $sock = ask(3, 3);

    ok(silent($sock), 'it waits for a number of another node');
    Exam::redis()->stop;

    my $res = answer($sock);
    is_problem($res, 503, 'redis_unavailable',
               'with Redis away, at the end: not known now');
    is_problem($api->get(path('screen', 4) . '?wait_s=30', $token), 503,
               'redis_unavailable', 'without Redis from the start: at once');

    my $here = ask(2, 30);

    ok(silent($here), 'what this node has is waited for');
}


# ---- a reload answers them at once, and the old process ends

{
    my @socks = map { ask(2, 30) } 1 .. 3;
    my ($old) = $nginx->workers;

    ok(silent($socks[-1]), 'three wait');
    $start = time;
    kill HUP => $nginx->pid;

    is_deeply([map { answer($_)->{json}{state} } @socks],
              [('received') x 3], 'a reload answers those who wait');
    ok((Exam::wait_for { !kill 0, $old }), 'the old process has ended');
    unlike(Exam::slurp($nginx->{error_log}), qr/open socket/,
           'nothing was left open');
}

done_testing();
