# exam_student_quota: the bytes of all sessions of a student, refused before
# the body where its length is known, else when they are passed.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api qw(is_problem);
use Exam::Command qw(node_at);
use Exam::Tus;
use Exam::Wire;

my $code = $Exam::Api::Code;
my $path = '/api/v1/recordings';

Exam::load_exam('30', students => {
    map { $_ => { code => $code } } map { sprintf 'S%03d', $_ } 1 .. 9
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


# Two connections of a session, both before their end; the first answer and the
# second one.

sub both {
    my (@head) = @_;

    my @c = map { Exam::Wire->new($one->nginx) } @head;

    for my $i (0 .. $#c) {
        $c[$i]->head(@{ $head[$i] });
        $c[$i]->send('g' x 30_000);
    }

    ok((Exam::wait_for { $one->status->{active_uploads} == @c }),
       'both are on their way');

    return map { $c[$_]->send('g' x 30_000); $c[$_]->response } 0 .. $#c;
}

{
    my $student = $one->login('30', 'S005')->{json}{token};
    my @fields = (head($student, 'video/webm'), 'Content-Length' => 60_000);
    my @res = both([PUT => "$path/screen/0", \@fields],
                   [PUT => "$path/camera/0", \@fields]);

    is($res[0]{status}, 201, 'of two PUTs the first');
    is("$res[1]{status} $res[1]{code}", '507 quota', 'and the second one');
    is(put($one, $student, 1, 'b' x 42_400)->{status}, 201, 'what is left');
    ok(left_in_part($one), 'nothing else is left');
}


# ---- resumable uploads: what they have said that they will bring

{
    my $tus = Exam::Tus->new($one->nginx, token =>
                             $one->login('30', 'S006')->{json}{token});
    my $meta = sub {
        return ('Upload-Metadata' => Exam::Tus::metadata(kind => $_[0],
                    n => $_[1], filetype => 'video/webm'));
    };

    my $url = $tus->create(60_000, $meta->('screen', 0));

    is_problem($tus->post({ 'Upload-Length' => 42_401, $meta->('camera', 0) }),
               507, 'quota', 'together more than there may be');
    is_problem($tus->post({ 'Upload-Length' => 42_401 }), 507, 'quota',
               'attachments, too');
    is($tus->create(60_000, $meta->('screen', 0)), $url,
       'the same again is the same');

    # of another session of his, too

    my $next = Exam::Tus->new($one->nginx, token =>
                              $one->login('30', 'S006')->{json}{token});
    is_problem($next->post({ 'Upload-Length' => 42_401,
                             $meta->('screen', 0) }), 507, 'quota',
               'in his next session');

    my $all = $next->create(42_400, $meta->('screen', 0));
    is($next->patch($all, 0, 'a' x 42_400)->{status}, 204,
       'what they have left');
    is($tus->patch($url, 0, 'a' x 60_000)->{status}, 204, 'and the first');
    is_problem($tus->post({ 'Upload-Length' => 1 }), 507, 'quota',
               'it is used up');

    my $free = Exam::Tus->new($one->nginx, token =>
                              $one->login('30', 'S007')->{json}{token});
    $url = $free->create(60_000, $meta->('screen', 0));
    is($free->delete($url)->{status}, 204, 'one that is deleted');
    ok($free->create(60_000, $meta->('screen', 1)), 'makes room');
    is(put($one, $free->{token}, 2, 'b' x 60_000)->{status}, 201,
       'and what is not whole is in no segment\'s way');
}


# ---- Redis away: what this node has received

my $away = $one->login('30', 'S004')->{json}{token};

is(put($one, $away, 0, $first)->{status}, 201, 'an upload');
Exam::redis()->stop;
is_problem(put($one, $away, 1, 'b' x 50_000), 507, 'quota',
           'without Redis the node counts what it has received');
is(put($one, $away, 1, 'b' x 40_000)->{status}, 201, 'what is left');

done_testing();
