# Damaged files are asked for again, from nginx to exam-worker and back: the
# heartbeat lists them, another upload of the number is taken as a new one, and
# `stored` does not pass them before.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';
use Test::More;
use Digest::SHA qw(sha256_hex);

use Exam;
use Exam::Api;
use Spool ();

Spool::tables(Exam::mysql());

my $worker;

sub start {
    $worker = Exam::worker(ini => Exam::ini(
        worker => { verify => 'all', probe => 'off',
                    log => Exam::dir() . '/worker.log' }));
}

start();
ok((Exam::wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') } 20),
   'Redis is filled');
$worker->stop;

my $nginx = Exam::server(workers => 2,
    http => Exam::http_lines(exam_poll_rate => '0', exam_heartbeat_rate => '0'),
    allow => [qr/connection refused|exam redis/i]);
my $api = Exam::Api->new($nginx);
my $url = $nginx->url;
my $spool = Exam::spool();

my $session = Exam::sid('30', 'S001');
my $token = Exam::token(exam => '30', student => 'S001', gen => 1000);


sub path { return "/api/v1/recordings/$_[0]/$_[1]" }


sub put {
    my ($n, $body, %more) = @_;

    return Exam::request('PUT', $url . path('screen', $n),
        { Authorization => "Bearer $token", 'Content-Type' => 'video/webm',
          %more }, $body);
}


sub get { return $api->get(path('screen', $_[0]), $token)->{json} }


sub resend {
    return [map { $_->{n} } grep { $_->{kind} eq 'screen' }
            @{ $api->beat($token)->{json}{resend} }];
}


sub resends {
    my ($want, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $got;
    Exam::wait_for { $got = resend(); "@$got" eq "@$want" } 20;
    is_deeply($got, $want, $name);
}


sub state_is {
    my ($n, $state) = @_;

    return Exam::wait_for { (get($n)->{state} // '') eq $state } 20;
}


sub sets {
    return $api->me($token)->{json}{sessions}[0]{segments}{screen};
}


# the file in ready/: one byte more, or another one in its place

sub damage {
    my ($res, $how) = @_;

    my $file = "$spool/ready/$res->{json}{id}.rec";
    my $data = Exam::slurp($file);

    $data = $how eq 'longer' ? $data . 'x' : $data ^ "\1";
    Exam::spew($file, $data);
}


# ---- one of three

my @first = map { put($_, "content $_") } 0 .. 2;
is_deeply([map { $_->{status} } @first], [(201) x 3], 'three uploads');
damage($first[1], 'longer');
start();

resends([1], 'the damaged one is wanted again');
ok(state_is($_, 'stored'), "$_ is stored") for 0, 2;

my $seen = get(1);
is($seen->{state}, 'refused', 'GET says refused');
is($seen->{reason}, 'wrong_size', 'and why');
is($seen->{id}, $first[1]{json}{id}, 'of the upload that it was');
is_deeply(sets(), { stored => [[0, 0], [2, 2]], received => [],
                    receiving => [], lost => [], refused => [[1, 1]],
                    missing => [[1, 1]] }, 'me, too');
is($api->beat($token)->{json}{stored}{screen}, 0, 'stored does not pass it');
is_deeply(resend(), [1], 'it is wanted until it comes');

my $again = put(1, 'content 1');
is($again->{status}, 201, 'the same content again is a new upload');
isnt($again->{json}{id}, $first[1]{json}{id}, 'with an id of its own');
is_deeply(resend(), [], 'it is wanted no more, at once');
ok(state_is(1, 'stored'), 'it is stored');
resends([], 'nothing is wanted');
ok((Exam::wait_for { $api->beat($token)->{json}{stored}{screen} == 2 }),
   'stored passes it');
is(get(1)->{id}, $again->{json}{id}, 'GET names the new upload');
is(put(1, 'content 1')->{status}, 200, 'which is known from now on');
is(put(1, 'another')->{status}, 409, 'against another content, too');


# ---- a wrong hash; the number comes again with another content, and before
# this node was told: its own receipt must not answer

$worker->stop;
my $third = put(3, 'content 3');
damage($third, 'other');
start();

ok((Exam::wait_for { (Exam::redis_cmd('HGET', 'exam:{30}:seg:S001',
        "$session:screen:3") // '') =~ /^refused .*wrong_sha256$/ } 20),
   'the ledger says that the hash is wrong');

$again = put(3, 'cut anew', 'Content-Digest' => 'sha-256=:'
    . MIME::Base64::encode_base64(Digest::SHA::sha256('cut anew'), '') . ':');
is($again->{status}, 201, 'another content is taken, not a conflict');
is($again->{json}{sha256}, sha256_hex('cut anew'), 'as it is');
ok(state_is(3, 'stored'), 'and stored');
is(get(3)->{sha256}, sha256_hex('cut anew'), 'with its own hash');
resends([], 'nothing is wanted');


# ---- lost instead

$worker->stop;
damage(put(4, 'content 4'), 'longer');
start();
resends([4], 'one more');

my $lost = $api->post(path('screen', 4) . '/lost', { reason => 'gone' },
                      $token);
is($lost->{json}{state}, 'lost', 'a client that has it no more says so');
is_deeply(resend(), [], 'it is wanted no more');
is(get(4)->{state}, 'lost', 'GET says lost');
ok((Exam::wait_for { $api->beat($token)->{json}{stored}{screen} == 4 }),
   'stored passes it');
resends([], 'nothing is wanted');


# ---- more than a heartbeat lists

$worker->stop;
my @many = map { put($_, "content $_") } 5 .. 25;
damage($_, 'longer') for @many;
start();

resends([5 .. 24], '20 of 21 are asked for');
is_deeply(sets()->{refused}, [[5, 25]], 'me shows them all');
is(put(5, 'content 5')->{status}, 201, 'the first one comes');
resends([6 .. 25], 'the last one is asked for');


# ---- the ledger says refused, nobody has told this node: what it holds as
# received does not answer

$worker->stop;

for my $what ('the same content', 'another one') {
    my $n = $what eq 'another one' ? 41 : 40;
    my $field = "$session:screen:$n";
    my $got = put($n, 'the same content');

    is($got->{status}, 201, "upload $n");
    ok((Exam::wait_for { Exam::redis_cmd('HGET', 'exam:{30}:seg:S001',
                                         $field) }), 'the ledger knows it');
    Exam::redis_cmd('HSET', 'exam:{30}:seg:S001', $field,
                    "refused t1 $got->{json}{id} - - wrong_size");

    my $res = put($n, $what);
    is($res->{status}, 201, "$what is a new upload");
    isnt($res->{json}{id}, $got->{json}{id}, 'with an id of its own');
}


# ---- Redis away: wanted is known here, and taken

Exam::redis()->stop;
is_deeply(resend(), [6 .. 25], 'what was wanted is wanted on');
is(put(6, 'content 6')->{status}, 201, 'without Redis it is taken as well');
is_deeply(resend(), [7 .. 25], 'and wanted no more');
is(get(6)->{state}, 'received', 'GET says received');

$worker->stop;
done_testing();
