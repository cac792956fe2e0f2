# More uploads than the node receives at a time: the next one is refused, and a
# client slower than is asked for gives its place away.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api;
use Exam::Wire;

Exam::load_exam('30', students => { map { ("S$_" => {}) } 1 .. 9 });


sub begin {
    my ($server, $student, $size) = @_;

    my $c = Exam::Wire->new($server);

    $c->head(PUT => '/api/v1/recordings/screen/0', [
        'Content-Type' => 'video/webm', 'Content-Length' => $size,
        Expect => '100-continue', Authorization => 'Bearer ' . Exam::token(
            exam => '30', student => $student, gen => 1000)]);
    return $c;
}


sub put {
    my ($server, $student) = @_;

    my $c = begin($server, $student, 5000);
    $c->send('x' x 5000);
    return $c->response;
}


sub active {
    my ($api, $n) = @_;
    return Exam::wait_for { $api->metric('active_uploads') == $n } 10;
}


subtest 'all places are taken' => sub {
    my $server = Exam::server(workers => 2,
        http => Exam::http_lines(exam_upload_max_active => 2));
    my $api = Exam::Api->new($server);
    my @running = map { begin($server, "S$_", 5000) } 1, 2;

    ok active($api, 2), 'two are received';

    for my $try (1 .. 4) {
        my $res = begin($server, 'S3', 5000)->response;

        is $res->{status}, 503, 'one more is refused, on any process';
        is $res->{code}, 'overloaded', '... with its reason';
        is $res->{continued}, 0, '... before its body';
        like $res->{headers}{'retry-after'} // '', qr/^\d+$/,
            '... and told when to come again';
    }

    is $api->post('/api/v1/heartbeat', { seq => 1 }, Exam::token(
        exam => '30', student => 'S3', gen => 1000))->{status}, 200,
        'heartbeats are answered';
    is $api->metric('shed_total'), 4, 'and it is counted';

    $_->send('y' x 5000) for @running;
    is $_->response->{status}, 201, 'those that run are finished' for @running;

    ok active($api, 0), 'their places are free again';
    is put($server, 'S3')->{status}, 201, 'and taken by the next one';
};


subtest 'a slow client gives its place away' => sub {
    my $server = Exam::server(workers => 1, http => Exam::http_lines(
        exam_upload_max_active => 2, exam_upload_min_rate => '1k'));
    my $api = Exam::Api->new($server);
    my $slow = begin($server, 'S4', 1_000_000);
    my $fast = begin($server, 'S5', 10_000_000);
    my $sent = 0;

    ok active($api, 2), 'two are received';

    # nobody else wants a place: the slow one keeps his
    my $until = time + 7;
    while (time < $until) {
        $sent += 20_000 if $fast->send('f' x 20_000);
        select undef, undef, undef, 0.2;
    }

    is $api->metric('uploads_evicted_total'), 0,
        'while there is no need, nobody is driven out';

    my $res;
    ok((Exam::wait_for {
        $sent += 20_000 if $fast->send('f' x 20_000);
        $res = put($server, 'S6');
        return $res->{status} == 201;
    } 20), 'another one wants a place and gets it');

    is $api->metric('uploads_evicted_total'), 1, '... that of one upload';
    is $slow->response->{status}, 503, '... of the slow one, who is told';

    $fast->send('f' x (10_000_000 - $sent));
    is $fast->response->{status}, 201, 'the fast one goes on';
};

done_testing;
