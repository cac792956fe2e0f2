# Uploads over HTTP/2: several in one connection, what goes wrong with one of
# them leaves the others, and a slow disk closes the window.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha256_hex);

use Exam;
use Exam::Frames qw(CANCEL);
use Exam::Trace;
use Exam::Tus;

my (undef, undef, $built) = Exam::run($ENV{TEST_NGINX_BINARY}
                                      // Exam::bin('nginx'), '-V');

# nginx's own HTTP/2 writes words at odd places, which UBSan forbids
plan skip_all => 'a sanitizer stops nginx\'s HTTP/2'
    if $built =~ /fsanitize=\S*undefined/
       && $built !~ /fno-sanitize=alignment/;

my $window = 512 * 1024;
my $spool = Exam::spool();
my $n = 0;

Exam::allow_errors(qr/exam spool is nearly full/);
Exam::load_exam('30', students => { S001 => {}, S002 => {} });

my $server = server();
my $tus = Exam::Tus->new($server);


sub server {
    my (%change) = @_;
    my %opt = map { exists $change{$_} ? ($_ => delete $change{$_}) : () }
                  qw(main server);

    return Exam::server(listen => ' http2', %opt, http => Exam::http_lines(
        exam_max_bytes => '30m', exam_kind_uploads => '4',
        http2_body_preread_size => '512k', %change));
}


# names of fields in lower case
sub fields {
    my (%more) = @_;

    my %fields = ('content-type' => 'video/webm', authorization => 'Bearer '
        . Exam::token(exam => '30', student => 'S001', gen => 1000), %more);

    return [map { defined $fields{$_} ? ($_, $fields{$_}) : () }
            sort keys %fields];
}


# The head of a PUT of the next number; length undef: none is told.

sub put {
    my ($c, $length, %more) = @_;

    return $c->head(PUT => '/api/v1/recordings/screen/' . $n++,
                    fields('content-length' => $length, %more));
}


sub patch {
    my ($c, $url, $offset, $length) = @_;

    return $c->head(PATCH => $url, fields(
        'tus-resumable' => '1.0.0', 'upload-offset' => $offset,
        'content-type' => 'application/offset+octet-stream',
        'content-length' => $length));
}


sub create { return $tus->create($_[0]) }


sub content {
    my ($size, $seed) = @_;

    my $block = join '', map { sha256("$seed $_") } 1 .. 2048;
    my $data = '';

    $data .= pack('N', length $data) . $block while length $data < $size;

    return substr $data, 0, $size;
}


sub stored_is {
    my ($res, $data, $name) = @_;

    subtest $name => sub {
        ok($res, 'it is answered') or return;
        is($res->{status}, 201, 'it is stored');
        is($res->{json}{sha256}, sha256_hex($data), 'its hash');
        ok(Exam::slurp("$spool/ready/$res->{json}{id}.rec") eq $data,
           'its bytes');
        is_deeply($res->{interim}, [], 'no interim answer');
    };
}


sub parts { return scalar(() = glob "$spool/part/*/*") }

sub status { return Exam::request('GET', "$server->{url}/status")->{json} }

# of uploads under way, taken from nginx
sub received {
    my ($bytes) = @_;

    return Exam::wait_for {
        status()->{upload_bytes_in_flight} == $bytes;
    } 30;
}

sub nothing_open {
    my ($name) = @_;

    ok(Exam::wait_for {
        my $st = status();
        return $st->{active_uploads} == 0
               && $st->{upload_bytes_in_flight} == 0;
    }, "$name: no upload is open, no byte in flight");
}


# ---- one upload, several uploads

my $big = content(20 * 1024 * 1024, 'big');
my $c = Exam::Frames->new($server);

is($c->{initial}, $window, 'the first window of a stream');

my $id = put($c, length $big);

ok($c->data($id, $big, 1), '20 MB by one stream');
stored_is($c->response($id), $big, 'an upload of 20 MB');

{
    my @data = map { content(2_000_000 + 77 * $_, "stream $_") } 0 .. 3;
    my @at = (0) x 4;
    my @id = map { put($c, length $data[$_]) } 0 .. 3;

    for (my $left = 4; $left > 0; ) {
        for my $i (grep { $at[$_] < length $data[$_] } 0 .. 3) {
            my $piece = substr $data[$i], $at[$i], 50_000 + 9_000 * $i;

            $at[$i] += length $piece;
            my $end = $at[$i] == length $data[$i];
            $c->data($id[$i], $piece, $end);
            $left-- if $end;
        }
    }

    my $health = $c->head(GET => '/health', [], end => 1);
    is($c->response($health)->{status}, 200, 'another request among uploads');
    stored_is($c->response($id[$_]), $data[$_], "stream $_ of four")
        for 0 .. 3;
}

{
    my $data = content(3_000_000, 'endless');

    $id = put($c, undef);
    $c->data($id, $data, 1);
    stored_is($c->response($id), $data, 'without a length');
}

{
    my $data = content(1_200_000, 'form');
    my $form = join "\r\n", '--b0und',
        'Content-Disposition: form-data; name="kind"', '', 'screen', '--b0und',
        'Content-Disposition: form-data; name="n"', '', $n++, '--b0und',
        'Content-Disposition: form-data; name="file"; filename="a.webm"',
        'Content-Type: video/webm', '', $data, "--b0und--\r\n";

    $id = $c->head(POST => '/api/v1/recordings', fields(
        'content-type' => 'multipart/form-data; boundary=b0und',
        'content-length' => length $form));
    $c->data($id, $form, 1);
    stored_is($c->response($id), $data, 'a form');
}

{
    my $data = content(1_500_000, 'tus');
    my $url = create(length $data);

    $id = patch($c, $url, 0, 900_000);
    $c->data($id, substr($data, 0, 900_000), 1);
    is($c->response($id)->{status}, 204, 'tus: the first PATCH');

    $id = $c->head(HEAD => $url, fields('tus-resumable' => '1.0.0'), end => 1);
    is($c->response($id)->{status}, 200, 'tus: HEAD');
    is($tus->offset($url), 900_000, 'tus: the offset');

    $id = patch($c, $url, 900_000, length($data) - 900_000);
    $c->data($id, substr($data, 900_000), 1);
    is($c->response($id)->{status}, 204, 'tus: the last PATCH');
    is($tus->offset($url), length $data, 'tus: it is complete');

    my ($file) = grep { -s $_ == length $data } glob "$spool/ready/*.rec";
    ok($file && Exam::slurp($file) eq $data, 'tus: its bytes');

    $id = $c->head(POST => '/api/v1/uploads', fields(
        'tus-resumable' => '1.0.0', 'upload-length' => 70_000,
        'content-type' => 'application/offset+octet-stream',
        'content-length' => 70_000));
    $c->data($id, substr($data, 0, 70_000), 1);
    is($c->response($id)->{status}, 201, 'tus: creation with upload');
}

# interim answers are of HTTP/1.1 only
{
    my $data = content(9_000_000, 'ietf');

    $id = $c->head(POST => '/api/v1/uploads', fields(
        'upload-draft-interop-version' => '8', 'upload-complete' => '?1',
        'content-length' => length $data));
    $c->data($id, $data, 1);

    my $res = $c->response($id);
    like($res->{status}, qr/^20[01]$/, 'IETF: an upload in one request');
    is_deeply($res->{interim}, [], 'IETF: no 104');
}

nothing_open('after all of them');


# ---- what goes wrong with one stream leaves the others

# Prefixes are of bytes that the ring takes in any case, four small buffers.

{
    my $data = content(2_500_000, 'goes on');
    my $url = create(2_000_000);
    my $other = put($c, length $data);

    $c->data($other, substr $data, 0, 1_000_000);

    my $before = parts();
    my $hung = put($c, 2_000_000);
    $c->data($hung, 'x' x 300_000);
    ok(Exam::wait_for { parts() > $before }, 'a PUT under way');

    my $patch = patch($c, $url, 0, 2_000_000);
    $c->data($patch, 'y' x 200_000);
    ok(received(1_000_000 + 300_000 + 200_000), 'and a PATCH');

    $c->reset($hung, CANCEL);
    ok(Exam::wait_for { parts() == $before }, 'reset: the part is removed');

    $c->reset($patch, CANCEL);
    ok(Exam::wait_for { ($tus->offset($url) // 0) == 200_000 },
       'reset: a prefix is kept');

    my $again = patch($c, $url, 200_000, 1_800_000);
    $c->data($again, 'y' x 1_800_000, 1);
    is($c->response($again)->{status}, 204, 'reset: and gone on with');

    for (
        ['a wrong token', 401, 'unauthorized', put($c, 500_000,
            authorization => 'Bearer nonsense')],
        ['too long', 413, undef, put($c, 40 * 1024 * 1024)],
        ['another offset', 409, undef, patch($c, create(1_000_000), 7,
                                             500_000)],
        ['a wrong type', 415, undef, put($c, 500_000,
            'content-type' => 'text/plain')],
    ) {
        my ($what, $status, $code, $id) = @$_;

        $c->data($id, 'z' x 200_000);

        my $res = $c->response($id);
        is($res && $res->{status}, $status, "$what: $status");
    }

    for (['fewer', -1], ['more', 1]) {
        my ($what, $more) = @$_;
        my $id = put($c, 100_000 - $more);

        $c->data($id, 'w' x 100_000, 1);

        my $res = $c->response($id);
        is($res && $res->{status}, 400, "$what bytes than told: 400")
            if $more < 0 || $res;
        ok($c->ping, "$what bytes than told: the connection stays");
    }

    ok(!defined $c->{streams}{$other}{reset}, 'one stream is not touched');
    $c->data($other, substr($data, 1_000_000), 1);
    stored_is($c->response($other), $data, 'which ends as it should');
    nothing_open('after what went wrong');
}


# ---- no room on the disk: refused before the body

{
    my $full = server(exam_spool_low => '900000g');
    my $f = Exam::Frames->new($full);
    my @id = map { put($f, 1_000_000) } 1 .. 2;
    my @res = map { $f->response($_) } @id;

    is_deeply([map { $_->{status} } @res], [507, 507], 'no room: 507 for each');
    ok($f->ping, 'no room: the connection stays');
    $full->stop('QUIT');
}


# ---- the connection ends

{
    my $url = create(2_000_000);
    my $before = parts();
    my $gone = Exam::Frames->new($server);
    my $put = put($gone, 2_000_000);
    my $patch = patch($gone, $url, 0, 2_000_000);

    $gone->data($_, 'v' x 200_000) for $put, $patch;
    ok(received(400_000), 'two streams under way');
    $gone->close;

    ok(Exam::wait_for { parts() == $before }, 'the PUT\'s part is removed');
    ok(Exam::wait_for { ($tus->offset($url) // 0) == 200_000 },
       'the prefix of the PATCH is kept');
    nothing_open('after the connection has gone');
}


# ---- a hung stream is taken over: it ends, its connection does not

for my $over ('HTTP/1.1', 'HTTP/2') {
    my $data = content(1_800_000, "taken over $over");
    my $url = create(1_000_000);
    my $hung = patch($c, $url, 0, 1_000_000);
    my $other = put($c, length $data);

    $c->data($hung, 'u' x 200_000);
    $c->data($other, substr $data, 0, 700_000);
    ok(received(900_000), "$over: two streams under way");
    is($tus->offset($url), 200_000, "$over: HEAD takes the upload over");
    ok(defined $c->was_reset($hung), "$over: the hung stream is reset");
    ok(!$c->{streams}{$hung}{ended}, "$over: without an answer");

    if ($over eq 'HTTP/2') {
        my $id = patch($c, $url, 200_000, 800_000);
        $c->data($id, 'u' x 800_000, 1);
        is($c->response($id)->{status}, 204, "$over: it is gone on with");

    } else {
        is($tus->patch($url, 200_000, 'u' x 800_000)->{status}, 204,
           "$over: it is gone on with");
    }

    $c->data($other, substr($data, 700_000), 1);
    stored_is($c->response($other), $data, "$over: the other stream");
}


# ---- a slow disk: the window stays closed, memory is bounded

SKIP: {
    my $slow = server(main => 'thread_pool one threads=1;',
                      exam_thread_pool => 'one');
    my ($worker, $streams, $sent, $held, $rss, @res);
    my @data = map { content(1_700_000, "slow $_") } 0 .. 3;
    my $ring = 256 * 1024 + 3 * 64 * 1024;
    my $anon = sub {
        return Exam::slurp("/proc/$worker/status") =~ /RssAnon:\s+(\d+)/
            && $1;
    };

    Exam::wait_for { ($worker) = $slow->workers };

    my $base = $anon->();
    my @lines = traced($worker, ['-e', 'trace=pwrite64', '-e',
                                 'inject=pwrite64:delay_enter=3000000:when=1'],
    sub {
        my $s = Exam::Frames->new($slow);
        my @id = map { put($s, length $_) } @data;
        my @at = (0) x @data;

        # as much as the windows take, until they take nothing any more
        my $push = sub {
            my $more = 0;

            for my $i (0 .. $#id) {
                my $room = $s->room($id[$i]);
                my $piece = substr $data[$i], $at[$i], $room;

                next if !length $piece;
                $s->data($id[$i], $piece, $at[$i] + $room >= length $data[$i]);
                $at[$i] += length $piece;
                $more += length $piece;
            }

            $s->ping;
            return $more;
        };

        ok(Exam::wait_for { $push->() == 0 }, 'the windows are closed');

        $sent = [@at];
        $held = Exam::request('GET', "$slow->{url}/status")->{json}
                    {upload_bytes_in_flight};
        $rss = $anon->() - $base;

        Exam::wait_for { $push->(); return !grep { $at[$_] < length $data[$_] }
                                                 0 .. $#id } 60;
        @res = map { $s->response($_) } @id;
    });

    skip 'processes cannot be traced here', 6 unless @lines;

    is(scalar(grep { $_ > $window + $ring } @$sent), 0,
       'no stream was let send more than its window and the ring');
    cmp_ok($held, '<=', @data * $ring, 'the rings hold their share');

    SKIP: {
        skip 'memory of a sanitizer is no measure', 1
            if $built =~ /fsanitize/;

        cmp_ok($rss, '<=', @data * 1024, 'at most 1 MB each');
    }

    stored_is($res[$_], $data[$_], "slow disk: stream $_") for 0 .. $#data;
    $slow->stop('QUIT');
}

done_testing;
