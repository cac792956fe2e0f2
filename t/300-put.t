# PUT and GET of recordings: what is kept, what is answered, what Redis and the
# spool hold afterwards.  Refusals are in 310, disk trouble in 320.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha256_hex);
use MIME::Base64 qw(encode_base64);

use Exam;
use Exam::Wire;

my $server = Exam::server(workers => 2);
my $url = $server->url;
my $spool = Exam::spool();

Exam::load_exam('30', students => { S001 => {}, S002 => {}, S003 => {} });


sub path { return "/api/v1/recordings/$_[0]/$_[1]" . ($_[2] // '') }


sub fields {
    my ($student, %more) = @_;

    return { 'Content-Type' => 'video/webm',
             Authorization => 'Bearer ' . Exam::token(
                 exam => '30', student => $student, gen => 1000), %more };
}


sub digest { return 'sha-256=:' . encode_base64(sha256($_[0]), '') . ':' }

sub put {
    my ($student, $kind, $n, $body, %more) = @_;
    return Exam::request('PUT', $url . path($kind, $n),
                         fields($student, %more), $body);
}


sub get {
    my ($student, $kind, $n) = @_;
    return Exam::request('GET', $url . path($kind, $n), fields($student));
}


sub status { return Exam::request('GET', "$url/status")->{json} }


sub metric {
    my ($n) = Exam::request('GET', "$url/metrics")->{content}
        =~ /^exam_$_[0] (\d+)$/m;
    return $n;
}


sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 10;
}


sub files {
    my @files = sort map { s{^\Q$spool\E/}{}r } glob("$spool/$_[0]");
    return @files;
}


# random enough that a swapped or lost buffer shows
sub content {
    my ($size, $seed) = @_;

    my $block = '';
    my $i = 0;

    $block .= sha256("$seed " . $i++) while length $block < 65536;
    my $data = '';
    $data .= pack('N', length $data) . $block while length $data < $size;

    return substr $data, 0, $size;
}


# ---- an upload

my $body = content(100_000, 'a');
my $res = put('S001', 'screen', 0, $body);

is $res->{status}, 201, 'a new segment';
like $res->{json}{id}, qr/^t1-[0-9a-f]{32}$/, 'its id names the node';
is $res->{json}{bytes}, 100_000, 'its size';
is $res->{json}{sha256}, sha256_hex($body), 'its hash';
is $res->{json}{state}, 'received', 'its state';
is $res->{headers}{'repr-digest'}, digest($body), 'Repr-Digest';

my $id = $res->{json}{id};

ok Exam::slurp("$spool/ready/$id.rec") eq $body, 'the file has the content';

my $info = JSON::PP::decode_json(Exam::slurp("$spool/ready/$id.info"));

is $info->{$_->[0]}, $_->[1], "manifest: $_->[0]"
    for [id => $id], [exam => '30'], [student => 'S001'], [kind => 'screen'],
        [session => Exam::sid('30', 'S001')], [gen => 1000], [n => 0],
        [length => 100_000], [durable_offset => 100_000],
        [sha256 => sha256_hex($body)], [content_type => 'video/webm'],
        [started_at => undef], [duration_ms => undef], [node => 't1'];

cmp_ok abs($info->{received_at} - Exam::now_ms()), '<', 60_000,
    'manifest: received_at';
is $info->{boot_id} . "\n", Exam::slurp('/proc/sys/kernel/random/boot_id'),
    'manifest: boot_id';

# a part file goes in a thread, behind the answer

Exam::wait_for { !files('part/*/*') };
is_deeply [files('part/*/*')], [], 'nothing is left in part/';

my $field = Exam::sid('30', 'S001') . ':screen:0';

ok eventually(sub { Exam::redis_cmd('HGET', 'exam:{30}:seg:S001', $field) }),
    'the ledger is told';
is Exam::redis_cmd('HGET', 'exam:{30}:seg:S001', $field),
    "received t1 $id 100000 " . sha256_hex($body), 'ledger entry';

ok eventually(sub { Exam::redis_cmd('XLEN', 'exam:recordings:t1') == 1 }),
    'the doorbell is rung';

my %entry = @{ Exam::redis_cmd('XRANGE', 'exam:recordings:t1', '-', '+')
               ->[0][1] };

is_deeply \%entry, {
    id => $id, exam => '30', student => 'S001', kind => 'screen', n => 0,
    session => Exam::sid('30', 'S001'), bytes => 100_000,
    sha256 => sha256_hex($body), received_at => $info->{received_at},
}, 'doorbell entry';


# what the worker stores is heard of without a heartbeat: the flush asks on

ok eventually(sub { Exam::redis_cmd('HGET', 'exam:{30}:sessions', 'S001') }),
    'the session is flushed';

my ($asked) = metric('flush_rows_total');
ok eventually(sub { metric('flush_rows_total') > $asked + 2 }), 'and again';
Exam::redis_cmd('HSET', 'exam:{30}:stored',
                'S001:' . Exam::sid('30', 'S001') . ':screen', 0);
ok eventually(sub {
    my $me = Exam::request('GET', "$url/api/v1/me", fields('S001'));
    ($me->{json}{stored}{screen} // -1) == 0;
}), 'the node hears that it is stored';


# ---- the same number again

$res = put('S001', 'screen', 0, $body);
is $res->{status}, 200, 'the same content again';
is $res->{json}{id}, $id, 'has the first one\'s id';
is $res->{json}{state}, 'received', 'and its state';
is $res->{headers}{'repr-digest'}, digest($body), 'and its digest';

my $other = content(100_000, 'b');

$res = put('S001', 'screen', 0, $other);
is $res->{status}, 409, 'other content';
is $res->{json}{code}, 'segment_conflict', 'is a conflict';

for ([$body, 200], [$other, 409]) {
    my ($data, $status) = @$_;
    my $c = Exam::Wire->new($server);

    $c->head(PUT => path('screen', 0), [
        %{ fields('S001') }, 'Content-Length' => length $data,
        'Content-Digest' => digest($data), Expect => '100-continue']);

    $res = $c->response;
    is $res->{status}, $status, "$status with Content-Digest";
    is $res->{continued}, 0, "$status without asking for the body";
}

# whatever a dictionary of RFC 8941 may look like
my $sha = digest($body);

for my $field (
    [$sha =~ s/=:\z/:/r], ["sha-512=:AA==:, $sha"], ["$sha,md5=:AAAA:"],
    ["$sha\t, \tmd5=:AAAA:"], ["$sha;a=1;b=\"x;,y\\\"\"; c;d=?1;e=:AA==:"],
    ["*x.y-z_1=::, $sha"], [digest('x') . ", $sha"], ['md5=:AAAA:', $sha],
    [$sha, ''],
) {
    my $c = Exam::Wire->new($server);

    $c->head(PUT => path('screen', 0), [
        %{ fields('S001') }, 'Content-Length' => length $body,
        (map {; 'content-digest' => $_ } @$field), Expect => '100-continue']);
    is $c->response->{status}, 200, "digest @$field";
}

is put('S001', 'screen', 9, 'x', 'Content-Digest' => 'md5=:AAAA:')->{status},
    201, 'an unknown algorithm is passed over';

# a body that comes anyway is not taken for the next request
{
    my $c = Exam::Wire->new($server);

    for (1, 2) {
        $c->head(PUT => path('screen', 0), [
            %{ fields('S001') }, 'Content-Length' => length $body,
            'Content-Digest' => digest($body)]);
        $c->send($body);
        is $c->response->{status}, 200, '200 with the body on the way';
    }

    $c->head(GET => path('screen', 0), [
        %{ fields('S001') }, 'Content-Length' => 100_000]);
    $c->send($body);
    is $c->response->{status}, 200, 'GET with a body';
    $c->head(HEAD => path('screen', 0), [%{ fields('S001') }]);
    is $c->response(head => 1)->{status}, 200, 'HEAD';
    $c->head(GET => path('screen', 0), [%{ fields('S001') }]);
    is $c->response->{status}, 200, 'GET after it: HEAD had no body';
}

# the zone of another node, or of this one after a restart, knows nothing
Exam::redis_cmd('HSET', 'exam:{30}:seg:S001',
    Exam::sid('30', 'S001') . ':screen:1',
    "stored t9 t9-" . '1' x 32 . ' 100000 ' . sha256_hex($body));

$res = put('S001', 'screen', 1, $body);
is $res->{status}, 200, 'known to the ledger alone';
is $res->{json}{id}, 't9-' . '1' x 32, 'has the id from there';
is $res->{json}{state}, 'stored', 'has the state from there';
is put('S001', 'screen', 1, $other)->{status}, 409,
    'other content than in the ledger';

# what the client never will have, and a damaged one, may come after all
my $n = 2;

for my $state (qw(lost refused receiving)) {
    Exam::redis_cmd('HSET', 'exam:{30}:seg:S001',
        Exam::sid('30', 'S001') . ":screen:$n",
        "$state t9 t9-" . '2' x 32 . ' 100000 ' . sha256_hex($body));

    is put('S001', 'screen', $n, $other)->{status}, 201,
        "a number that was $state";
    $n++;
}

is_deeply [files('part/*/*')], [], 'nothing is left in part/';


# ---- GET

$res = get('S001', 'screen', 0);
is $res->{status}, 200, 'GET';
is_deeply $res->{json}, { id => $id, state => 'received', offset => 100_000,
    bytes => 100_000, sha256 => sha256_hex($body), reason => undef },
    'GET tells the segment';
is get('S001', 'screen', 1)->{json}{state}, 'stored', 'GET: ledger alone';
is get('S001', 'screen', 77)->{status}, 404, 'GET of an unknown number';
is get('S002', 'screen', 0)->{status}, 404, 'GET of another student\'s';


# ---- sizes around the buffers, arguments, types, chunks

my $i = 0;

for my $size (1, 4095, 4096, 4097, 262_143, 262_144, 262_145, 524_288,
              1_048_576, 3_000_001, 20_000_000)
{
    my $data = content($size, $i);

    $res = put('S002', 'camera', $i, $data, 'Content-Digest' => digest($data));
    is $res->{status}, 201, "$size bytes";
    ok Exam::slurp("$spool/ready/$res->{json}{id}.rec") eq $data,
        "$size bytes are the same on disk";
    $i++;
}

for my $size (1, 262_144, 1_300_000) {
    my $data = content($size, $i);
    my $rest = $data;

    $res = Exam::request('PUT', $url . path('camera', $i), fields('S002'),
        undef);
    is $res->{json}{code}, 'empty_segment', 'no body is an empty one';

    my $c = Exam::Wire->new($server);

    $c->head(PUT => path('camera', $i), [
        %{ fields('S002') }, 'Transfer-Encoding' => 'chunked']);
    $c->chunk(substr $rest, 0, 1 + length($rest) / 7, '') while length $rest;
    $c->send("0\r\n\r\n");

    $res = $c->response;
    is $res->{status}, 201, "$size bytes in chunks";
    ok Exam::slurp("$spool/ready/$res->{json}{id}.rec") eq $data,
        "$size bytes in chunks are the same on disk";

    # and the connection goes on
    $c->head(GET => path('camera', $i), [%{ fields('S002') }]);
    is $c->response->{status}, 200, 'the connection can be used again';
    $i++;
}

# in pieces, with the client slower than the disk
{
    my $data = content(700_000, 'slow');
    my $rest = $data;
    my $c = Exam::Wire->new($server);

    $c->head(PUT => path('camera', $i++), [
        %{ fields('S002') }, 'Content-Length' => length $data]);

    while (length $rest) {
        $c->send(substr $rest, 0, 50_000, '');
        select undef, undef, undef, 0.005;
    }

    $res = $c->response;
    is $res->{status}, 201, 'a body in pieces';
    is $res->{json}{sha256}, sha256_hex($data), 'has the right hash';
}

for my $type ('video/mp4', 'video/x-matroska;codecs=avc1',
              'video/webm;codecs="vp9,opus"', 'VIDEO/WebM; codecs=vp8')
{
    $res = put('S002', 'camera', $i, "x$i", 'Content-Type' => $type);
    is $res->{status}, 201, "type $type";
    $info = JSON::PP::decode_json(
        Exam::slurp("$spool/ready/$res->{json}{id}.info"));
    is $info->{content_type}, $type, 'the type as it was sent';
    $i++;
}

# a manifest with such a type would be damaged in the worker's eyes

for my $case (['long', 'video/webm;x=' . 'y' x 200],
              ['tabbed', "video/webm;\tcodecs=vp9"])
{
    $res = put('S002', 'camera', $i, 'x', 'Content-Type' => $case->[1]);
    is $res->{status}, 201, "a type with $case->[0] parameters";
    $info = JSON::PP::decode_json(
        Exam::slurp("$spool/ready/$res->{json}{id}.info"));
    is $info->{content_type}, 'video/webm', 'is kept without them';
    $i++;
}

$res = Exam::request('PUT', $url . path('camera', $i,
    '?started_at=1763650000000&duration_ms=120000'), fields('S002'), 'x');
is $res->{status}, 201, 'with times';
$info = JSON::PP::decode_json(
    Exam::slurp("$spool/ready/$res->{json}{id}.info"));
is $info->{started_at}, 1763650000000, 'manifest: started_at';
is $info->{duration_ms}, 120000, 'manifest: duration_ms';


# ---- two at once: the first complete one wins

for my $same (1, 0) {
    my $n = $same ? 0 : 1;
    my @data = (content(400_000, 'twin'), content(400_000,
                                                  $same ? 'twin' : 'other'));
    my @c = map {
        my $c = Exam::Wire->new($server);
        $c->head(PUT => path('screen', $n), [
            %{ fields('S003') }, 'Content-Length' => length $data[$_]]);
        $c->send(substr $data[$_], 0, 399_999);
        $c;
    } 0, 1;

    $c[$_]->send(substr $data[$_], 399_999) for 0, 1;

    my @status = map { $_->response->{status} } @c;

    is_deeply [sort @status], $same ? [200, 201] : [201, 409],
        'two at once with ' . ($same ? 'the same' : 'other') . ' content';

    my ($winner) = grep { $status[$_] == 201 } 0, 1;

    is get('S003', 'screen', $n)->{json}{sha256},
        sha256_hex($data[$winner]), 'the one with 201 is kept';
}

is scalar(grep { Exam::slurp("$spool/$_") =~ /"student":"S003"/ }
          files('ready/*.info')), 2, 'one file for each number';


# ---- counters

my $st = status();

is $st->{active_uploads}, 0, 'no upload is active';
is $st->{upload_bytes_in_flight}, 0, 'no byte is in flight';
is scalar(files('ready/*.rec')), scalar(files('ready/*.info')),
    'each file has its manifest';
is_deeply [files('part/*/*')], [], 'nothing is left in part/';

my $metrics = Exam::request('GET', "$url/metrics")->{content};
my $acked = () = files('ready/*.rec');

like $metrics, qr/^exam_uploads_total(?:\{[^}]*\})? $acked$/m,
    'uploads_total counts what was acknowledged';

done_testing;
