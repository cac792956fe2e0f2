# exam_student_quota: the bytes of all sessions of a student, refused before
# the body where its length is known, else when they are passed.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api qw(is_problem);
use Exam::Command qw(node_at);
use Exam::Wire;

my $code = $Exam::Api::Code;
my $path = '/api/v1/recordings';

Exam::load_exam('30', students => {
    map { $_ => { code => $code } } qw(S001 S002 S003 S004)
});

my $one = node_at('n1', exam_student_quota => '100k');
my $two = node_at('n2', exam_student_quota => '100k');


sub head { return Authorization => "Bearer $_[0]", 'Content-Type' => $_[1] }

sub put {
    my ($api, $token, $n, $body) = @_;

    return $api->req('PUT', "$path/screen/$n",
                     { head($token, 'video/webm') }, $body);
}


sub form {
    my ($data) = @_;

    return qq{--b\r\nContent-Disposition: form-data; name="file"; }
           . qq{filename="a"\r\n\r\n$data\r\n--b--\r\n};
}


sub bytes {
    return Exam::redis_cmd('HGET', 'exam:{30}:stored', "$_[0]:bytes") // 0;
}


sub left_in_part {
    my ($api) = @_;

    return Exam::wait_for { my @left = glob "$api->{spool}/part/*/*"; !@left };
}


# ---- one student, two sessions, two nodes

my $old = $one->login('30', 'S001')->{json}{token};
my $first = 'a' x 60_000;

is(put($one, $old, 0, $first)->{status}, 201, 'below the quota');
ok((Exam::wait_for { bytes('S001') == 60_000 }), 'Redis has the sum');

my $token = $two->login('30', 'S001')->{json}{token};

is_problem(put($two, $token, 0, 'b' x 50_000), 507, 'quota',
           'above it, by another session on another node');

{
    my $c = Exam::Wire->new($two->nginx);

    $c->head(PUT => "$path/screen/0", [head($token, 'video/webm'),
        'Content-Length' => 50_000, Expect => '100-continue']);
    my $res = $c->response;
    is("$res->{status} $res->{code} $res->{continued}", '507 quota 0',
       'before the body');

    $c = Exam::Wire->new($two->nginx);
    $c->head(PUT => "$path/screen/0", [head($token, 'video/webm'),
        'Transfer-Encoding' => 'chunked']);
    $c->chunk('c' x 10_000) for 1 .. 4;
    $c->chunk('c' x 2_401);
    $res = $c->response;
    is("$res->{status} $res->{code}", '507 quota',
       'of an unknown length: when it is passed');
}

ok(left_in_part($two), 'nothing is left of it');

my $form = { head($token, 'multipart/form-data; boundary=b') };

is_problem($two->req('POST', $path, $form, form('d' x 42_401)), 507, 'quota',
           'a form, a byte too many');
is_problem($two->req('POST', $path, $form, form('d' x 200_000)), 507, 'quota',
           'a form, far too many');
is($two->req('POST', $path, $form, form('d' x 42_400))->{status}, 201,
   'a form with all that is left');
ok((Exam::wait_for { bytes('S001') == 102_400 }), 'attachments count, too');

is_problem(put($two, $token, 1, 'e'), 507, 'quota', 'now it is used up');
is(put($one, $old, 0, $first)->{status}, 200,
   'what was received is known as ever');
is_problem(put($one, $old, 0, 'other'), 409, 'segment_conflict',
           'and in conflict as ever');
is(put($one, $one->login('30', 'S002')->{json}{token}, 0,
       $first)->{status}, 201, 'another student has a quota of his own');


# ---- many at once: what was known at the begin is asked again at the end

my $many = $one->login('30', 'S003')->{json}{token};

{
    my @c = map { Exam::Wire->new($one->nginx) } 0, 1;
    my $body = form('f' x 60_000);

    for my $c (@c) {
        $c->head(POST => $path,
                 [head($many, 'multipart/form-data; boundary=b'),
                  'Content-Length' => length $body]);
        $c->send(substr $body, 0, 30_000);
    }

    ok((Exam::wait_for { $one->status->{active_uploads} == 2 }),
       'two forms begin');
    $c[0]->send(substr $body, 30_000);
    is($c[0]->response->{status}, 201, 'the first one ends');
    ok((Exam::wait_for { bytes('S003') == 60_000 }), 'it is counted');
    $c[1]->send(substr $body, 30_000);
    my $res = $c[1]->response;
    is("$res->{status} $res->{code}", '507 quota', 'the second one ends');
}


# ---- Redis away: what this node has received

my $away = $one->login('30', 'S004')->{json}{token};

is(put($one, $away, 0, $first)->{status}, 201, 'an upload');
Exam::redis()->stop;
is_problem(put($one, $away, 1, 'b' x 50_000), 507, 'quota',
           'without Redis the node counts what it has received');
is(put($one, $away, 1, 'b' x 40_000)->{status}, 201, 'what is left');

done_testing();
