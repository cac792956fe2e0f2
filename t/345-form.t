# POST of multipart/form-data: what clients that only speak forms can upload,
# and what is refused.  Attachments are in 346.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha256_hex);
use MIME::Base64 qw(encode_base64);

use Exam;
use Exam::Api qw(is_problem);
use Exam::Command qw(node_at);
use Exam::Wire;

my $code = $Exam::Api::Code;
my $one = node_at('t1', workers => 2, exam_max_bytes => '3m',
                  exam_kind_uploads => '2');
my $server = $one->nginx;
my $url = $server->url;
my $spool = $one->{spool};
my $path = '/api/v1/recordings';

Exam::load_exam('30', students => {
    map { $_ => { code => $code } } map { sprintf 'S%03d', $_ } 1 .. 9
});


sub fields {
    my ($student, @more) = @_;

    return [Authorization => 'Bearer ' . Exam::token(
                exam => '30', student => $student, gen => 1000),
            'Content-Type' => 'multipart/form-data; boundary=b0und', @more];
}


# parts: name => value, or [content, type] for the file
sub body {
    my (@parts) = @_;

    my $body = '';

    while (my ($name, $value) = splice @parts, 0, 2) {
        $body .= qq{--b0und\r\nContent-Disposition: form-data; name="$name"};
        $body .= ref $value
            ? qq{; filename="a.webm"\r\n}
              . ($value->[1] ? "Content-Type: $value->[1]\r\n" : '')
              . "\r\n$value->[0]\r\n"
            : "\r\n\r\n$value\r\n";
    }

    return "$body--b0und--\r\n";
}


sub post {
    my ($student, $body, @more) = @_;

    return Exam::request('POST', $url . $path, { @{ fields($student, @more) } },
                         $body);
}


sub parts { my @parts = glob "$spool/part/*/*"; return @parts }

sub nothing_left {
    my ($name) = @_;
    ok(Exam::wait_for { !parts() }, "$name: nothing is left in part/");
}


# blocks that differ, with what looks like the boundary in between
sub content {
    my ($size, $seed) = @_;

    my $block = '';
    my $i = 0;

    $block .= sha256("$seed " . $i++) while length $block < 8192;

    my $data = '';
    $data .= pack('N', length $data) . "\r\n--b0un\r\r\n--b0und" . $block
             . "--b0und--\r\n" while length $data < $size;
    $data =~ s/\r\n--b0und/\r\n--b0unD/g;

    return substr $data, 0, $size;
}


# ---- an upload

my $data = content(1_500_000, 'a');
my $webm = 'video/webm;codecs=vp8';
my $res = post('S001', body(kind => 'screen', n => 0, started_at => 17,
                            duration_ms => 120000, other => 'x',
                            file => [$data, $webm]));

is($res->{status}, 201, 'a form with the file behind the fields');
is($res->{json}{sha256}, sha256_hex($data), 'the hash is the file\'s');
is($res->{json}{bytes}, length $data, 'so are the bytes');
is($res->{headers}{'repr-digest'},
   'sha-256=:' . encode_base64(sha256($data), '') . ':', 'Repr-Digest');
ok(!exists $res->{json}{n}, 'the client knows the number');

my $id = $res->{json}{id};

ok(Exam::slurp("$spool/ready/$id.rec") eq $data, 'the file is as it was sent');

my $info = JSON::PP::decode_json(Exam::slurp("$spool/ready/$id.info"));

is($info->{$_->[0]}, $_->[1], "manifest: $_->[0]")
    for [kind => 'screen'], [n => 0], [started_at => 17],
        [duration_ms => 120000], [content_type => $webm],
        [length => length $data], [sha256 => sha256_hex($data)],
        [session => Exam::sid('30', 'S001')], [gen => 1000];

$res = post('S001', body(file => ['other way round', 'video/mp4'], n => 1,
                         kind => 'camera'));
is($res->{status}, 201, 'a form with the file before the fields');

$info = JSON::PP::decode_json(
    Exam::slurp("$spool/ready/$res->{json}{id}.info"));
is("$info->{kind} $info->{n} $info->{content_type}", 'camera 1 video/mp4',
   'its manifest');
nothing_left('both');


# ---- a number has one content

$res = post('S001', body(kind => 'screen', n => 0, file => [$data, $webm]));
is($res->{status}, 200, 'the same again');
is($res->{json}{id}, $id, 'it is the first upload');

is_problem(post('S001', body(kind => 'screen', n => 0,
                             file => ['another', $webm])),
           409, 'segment_conflict', 'another content');
is_problem(post('S001', body(file => ['another', $webm], kind => 'screen',
                             n => 0)),
           409, 'segment_conflict', 'the same by a number that comes last');
is(Exam::request('PUT', "$url$path/screen/0",
                 { @{ fields('S001') }, 'Content-Type' => 'video/webm' },
                 $data)->{status}, 200, 'PUT meets the form\'s upload');
nothing_left('doubles');


# ---- however it arrives

{
    my $body = body(kind => 'screen', n => 1, file => [content(3000, 'p'),
                                                       $webm]);
    my $c = Exam::Wire->new($server);

    $c->head(POST => $path, fields('S001', 'Content-Length' => length $body));
    $c->send($_) for split //, $body;
    $res = $c->response;
    is($res->{status}, 201, 'byte by byte');
    is($res->{json}{sha256}, sha256_hex(content(3000, 'p')), 'its hash');

    $body = body(file => [content(700_000, 'q'), $webm], kind => 'screen',
                 n => 2);
    $c->head(POST => $path,
             fields('S001', 'Transfer-Encoding' => 'chunked'));
    $c->chunk($_) for unpack '(a3001)*', $body;
    $c->send("0\r\n\r\n");
    $res = $c->response;
    is($res->{status}, 201, 'chunked, on the same connection');
    is($res->{json}{sha256}, sha256_hex(content(700_000, 'q')), 'its hash');
}

{
    my $file = Exam::dir() . '/a.webm';
    Exam::spew($file, $data);

    my @curl = ('curl', '-s', '-H', 'Authorization: Bearer '
                . Exam::token(exam => '30', student => 'S002', gen => 1000));
    my $n = 0;

    for my $how ([], ['-H', 'Transfer-Encoding: chunked']) {
        my (undef, $out) = Exam::run(@curl, @$how, '-F', 'kind=screen',
                                     '-F', "n=$n", '-F',
                                     "file=\@$file;type=video/webm",
                                     $url . $path);
        my $json = eval { JSON::PP::decode_json($out) } // {};

        is($json->{sha256}, sha256_hex($data), "curl -F @$how");
        $n++;
    }

  SKIP: {
        my (undef, $version) = Exam::run('curl', '--version');
        my (undef, undef, $built) = Exam::run($ENV{TEST_NGINX_BINARY}
                                           // Exam::bin('nginx'), '-V');

        skip 'curl has no HTTP/2', 1 if $version !~ /\bHTTP2\b/;
        skip 'nginx reads HTTP/2 frames in a way that the checks call '
             . 'undefined', 1 if $built =~ /fsanitize=\S*undefined/;

        my $h2 = node_at('h2', listen => ' http2', exam_max_bytes => '3m');
        (undef, my $out) = Exam::run(@curl, '--http2-prior-knowledge', '-F',
                                     'kind=screen', '-F', "n=$n", '-F',
                                     "file=\@$file;type=video/webm",
                                     $h2->nginx->url . $path);
        my $json = eval { JSON::PP::decode_json($out) } // {};

        is($json->{sha256}, sha256_hex($data), 'curl -F by HTTP/2');
    }
}


# ---- what a form must have

is_problem($res = post('S003', body(kind => 'screen', n => 0)),
           400, 'missing_member', 'no file');
like($res->{json}{detail}, qr/\bfile\b/, 'the member is named');
is_problem($res = post('S003', body(kind => 'screen',
                                    file => ['x', $webm])),
           400, 'missing_member', 'no number');
like($res->{json}{detail}, qr/\bn\b/, 'it is named');
is_problem(post('S003', body(kind => 'window', n => 0,
                             file => ['x', $webm])),
           404, 'not_found', 'a kind that is none');
is_problem(post('S003', body(kind => 'screen', n => '01',
                             file => ['x', $webm])),
           404, 'not_found', 'a number that is none');
is_problem(post('S003', body(kind => 'screen', n => 2000,
                             file => ['x', $webm])),
           422, 'segment_number', 'a number beyond the limit');
is_problem(post('S001', body(file => ['x', $webm], kind => 'screen',
                             n => 1000)),
           422, 'segment_number', 'a number far from the others');
is_problem($res = post('S003', body(kind => 'screen', n => 0,
                                    started_at => 'noon',
                                    file => ['x', $webm])),
           400, 'bad_value', 'a time that is none');
like($res->{json}{detail}, qr/started_at/, 'it is named');

for my $type ('text/plain', '') {
    is_problem(post('S003', body(kind => 'screen', n => 0,
                                 file => ['x', $type])),
               415, 'unsupported_type', "type '$type'");
    is_problem(post('S003', body(file => ['x', $type], kind => 'screen',
                                 n => 0)),
               415, 'unsupported_type', "type '$type', known at the end");
}

is_problem(post('S003', body(kind => 'screen', n => 0, file => ['', $webm])),
           422, 'empty_segment', 'nothing in it');


# ---- broken bodies

my $good = body(kind => 'screen', n => 0, file => ['x', $webm]);

is_problem(post('S003', substr($good, 0, -$_)), 400, 'bad_form',
           "its last $_ bytes are missing") for 4, 8, 40;
is_problem(post('S003', body(kind => 'screen', n => 0, file => ['x', $webm],
                             file => ['y', $webm])),
           400, 'bad_form', 'two files');
is_problem(post('S003', $good, 'Content-Type' => 'multipart/form-data'),
           400, 'bad_form', 'no boundary');
is_problem(post('S003', '{}', 'Content-Type' => 'application/json'),
           415, 'unsupported_type', 'another type');
is_problem(post('S003', 'no form at all'), 400, 'bad_form', 'no form');


# ---- limits

is_problem(post('S003', body(kind => 'screen', n => 0,
                             file => ['x' x 3_145_729, $webm])),
           413, 'too_large', 'a byte too many');
is(post('S003', body(kind => 'screen', n => 0,
                     file => ['x' x 3_145_728, $webm]))->{status},
   201, 'as many as there may be');

{
    my $c = Exam::Wire->new($server);

    $c->head(POST => $path, fields('S003', 'Content-Length' => 9_000_000,
                                   Expect => '100-continue'));
    $res = $c->response;
    is("$res->{status} $res->{continued}", '413 0',
       'far too many: refused before the body');

    $c = Exam::Wire->new($server);
    $c->head(POST => $path,
             fields('S003', 'Transfer-Encoding' => 'chunked'));
    $c->chunk(body(kind => 'screen', n => 3, file => ['x', $webm]));

    my $sent = 0;

    while ($sent < 10_000_000 && $c->chunk('x' x 65536)) {
        $sent += 65536;
        last if IO::Select->new($c->{sock})->can_read(0);
    }

    is($c->response->{status}, 413, 'a form that does not end');
}

nothing_left('refused ones');


# ---- Content-Digest is of the body, not of the file

sub digest { return 'sha-256=:' . encode_base64(sha256($_[0]), '') . ':' }

my $body = body(kind => 'screen', n => 0, file => ['digested', $webm]);

is(post('S004', $body, 'Content-Digest' => digest($body))->{status}, 201,
   'Content-Digest of the body');
$body = body(kind => 'screen', n => 1, file => ['digested', $webm]);
is_problem(post('S004', $body, 'Content-Digest' => digest('digested')),
           422, 'digest_mismatch', 'that of the file is another');
is_problem(post('S004', $body, 'Content-Digest' => 'sha-256=:x:'),
           400, 'bad_digest', 'a malformed one');


# ---- two of a kind at a time

sub begin {
    my ($student, @parts) = @_;

    my $c = Exam::Wire->new($server);
    my $text = body(@parts, file => ['begun', $webm]);

    $text =~ s/begun\r\n--b0und--\r\n\z/begun/ or die;
    $c->head(POST => $path, fields($student, 'Content-Length' => 5000));
    $c->send($text);

    return $c;
}

sub active { return $one->status->{active_uploads} }

{
    my @c = (begin('S005', kind => 'screen', n => 0),
             begin('S005', kind => 'screen', n => 1));

    ok(Exam::wait_for { active() == 2 && parts() == 2 }, 'two are on the way');

    # the second of them is counted when its fields have come

    my $third;
    ok(Exam::wait_for {
        $third = post('S005', body(kind => 'screen', n => 2,
                                   file => ['x', $webm]));
        $third->{status} == 503;
    }, 'a third one of the kind');
    is_problem($third, 503, 'too_many_uploads', 'it');
    is(post('S005', body(kind => 'camera', n => 0,
                         file => ['x', $webm]))->{status}, 201,
       'one of another kind is not one of them');

    $_->close for @c;
    ok(Exam::wait_for { active() == 0 }, 'their clients leave');
    is(post('S005', body(kind => 'screen', n => 7,
                         file => ['x', $webm]))->{status}, 201,
       'their slots are free');
    nothing_left('left ones');
}


# ---- left-overs of an earlier session

my $old = $one->login('30', 'S006')->{json};
my $new = $one->login('30', 'S006')->{json};

sub post_by {
    my ($token, @parts) = @_;

    return Exam::request('POST', $url . $path,
                         { @{ fields('S006') },
                           Authorization => "Bearer $token" }, body(@parts));
}

$res = post_by($new->{token}, file => ['old', $webm], kind => 'screen', n => 4,
               session => $old->{session});
is($res->{status}, 201, 'a left-over of the session before');

$info = JSON::PP::decode_json(
    Exam::slurp("$spool/ready/$res->{json}{id}.info"));
is($info->{session}, $old->{session}, 'it is filed under that');

is_problem(post_by($old->{token}, kind => 'screen', n => 5,
                   session => $new->{session}, file => ['x', $webm]),
           403, 'forbidden', 'never one of the running session');
is_problem(post_by($new->{token}, kind => 'screen', n => 5,
                   session => '0' x 32, file => ['x', $webm]),
           404, 'not_found', 'nor one of another student');
is_problem(post_by($new->{token}, kind => 'screen', n => 5,
                   session => 'x', file => ['x', $webm]),
           400, 'bad_value', 'nor one that is none');
nothing_left('left-overs');


# ---- Redis away

Exam::redis()->stop;

is(post('S007', body(kind => 'screen', n => 0,
                     file => ['x', $webm]))->{status}, 201,
   'without Redis it is received');
is(post('S007', body(file => ['x', $webm], kind => 'screen',
                     n => 0))->{status}, 200, 'and known');


# ---- who may, and how

is_problem(Exam::request('POST', $url . $path,
                         { 'Content-Type' => 'multipart/form-data; '
                                             . 'boundary=b0und' }, $good),
           401, 'token_missing', 'without a token');

$res = Exam::request('GET', $url . $path, { @{ fields('S003') } });
is_problem($res, 405, 'method_not_allowed', 'another method');
is($res->{headers}{allow}, 'POST', 'Allow');

done_testing();
