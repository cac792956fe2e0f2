# tus without our metadata: attachments.  As a client that knows nothing but
# the protocol uses it, with whatever transport it has.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha256_hex);

use Exam;
use Exam::Api qw(raw_request);
use Exam::Tus qw(candidates ready manifest);
use Exam::Wire;

my $spool = Exam::spool();
my $lines = Exam::slurp("$Exam::Process::Root/nginx-conf/api.inc");

# a client that stands still is given up after a second

$lines =~ s/client_body_timeout +60s/client_body_timeout 1s/g;

my $server = Exam::server(server => $lines, http => Exam::http_lines(
    exam_max_bytes => '16m', exam_upload_expire => '1h'));
my $url = $server->url;
my $type = 'application/offset+octet-stream';
my $data = join '', map { sha256($_) } 1 .. 8192;       # 256 KB

Exam::load_exam('30', students => { map { sprintf('S%03d', $_) => {} }
                                    1 .. 99 });

*candidate = candidates($server);

sub part_size {
    my ($path) = @_;
    my ($id, $hex) = $path =~ m{/([^/]+-(..)[^/]+)\z};

    return -s "$spool/part/$hex/$id.part" // 0;
}

sub counter {
    my ($name) = @_;

    return Exam::request('GET', "$url/metrics")->{content}
        =~ /^exam_$name (\d+)$/m ? $1 : die "no $name\n";
}


subtest 'T22: a length of 0 is complete at once' => sub {
    my $tus = candidate();
    my $res = $tus->post({ 'Upload-Length' => 0 });

    is $res->{status}, 201, 'created';

    my $path = Exam::Tus::path($res);
    my $h = $tus->head($path)->{headers};

    is $h->{'upload-offset'}, 0, 'Upload-Offset';
    is $h->{'upload-length'}, 0, 'Upload-Length';
    is manifest($path)->{length}, 0, 'handed over';
    is manifest($path)->{sha256}, sha256_hex(''), 'its hash';
    is $tus->patch($path, 0, '')->{status}, 204, 'a PATCH does nothing';

    $path = $tus->create(undef);
    is $tus->patch($path, 0, '', 'Upload-Length' => 0)->{status}, 204,
        'a length told later';
    is manifest($path)->{length}, 0, 'handed over, too';

    is $tus->post({ 'Upload-Length' => 0, 'Upload-Metadata' =>
        Exam::Tus::metadata(kind => 'screen', n => 0,
                            filetype => 'video/webm') })->{code},
        'empty_segment', 'but no recording is empty';
};


subtest 'T23: Upload-Metadata may say anything' => sub {
    my $tus = candidate();

    for my $metadata ('', 'filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==',
                      'is_confidential', 'is_confidential,a YQ==', 'a ',
                      'filetype dGV4dC9wbGFpbg==,name Li4vLi4vZXRjL3Bhc3N3ZA==',
                      'a' x 500 . ' YQ==', 'a ' . 'YWJj' x 1000)
    {
        my $res = $tus->post({ 'Upload-Length' => 5,
                               'Upload-Metadata' => $metadata });
        is $res->{status}, 201, substr $metadata, 0, 40;

        my $path = Exam::Tus::path($res);
        is $tus->head($path)->{headers}{'upload-metadata'},
            length $metadata ? $metadata =~ s/ +\z//r : undef, 'told by HEAD';
        is $tus->patch($path, 0, 'hello')->{status}, 204, 'is uploaded';
        is manifest($path)->{kind}, 'file', 'as an attachment';
    }
};


subtest 'T15: a client that stands still is given up, its bytes are kept'
    => sub {
    my $tus = candidate();
    my $path = $tus->create(length $data);
    my $wire = Exam::Wire->new($server);

    $wire->head('PATCH', $path, $tus->fields('Upload-Offset' => 0,
        'Content-Type' => $type, 'Content-Length' => length $data));
    $wire->send(substr $data, 0, 100_000);

    ok $wire->closed(20), 'the connection is closed';
    is $tus->offset($path), 100_000, 'what has come is kept';
};


subtest 'T30: an upload that nobody goes on with expires: 410' => sub {
    my $tus = candidate();
    my $path = $tus->create(11);

    is $tus->patch($path, 0, 'hello')->{status}, 204, 'some bytes';

    my ($id, $hex) = $path =~ m{/([^/]+-(..)[^/]+)\z};
    my $old = time - 7200;
    utime $old, $old, glob "$spool/part/$hex/$id.*";

    my $res = $tus->head($path);
    is $res->{status}, 410, 'gone';
    is $res->{headers}{'upload-offset'}, undef, 'no Upload-Offset';
    is $tus->patch($path, 5, ' world')->{status}, 410, 'for a PATCH, too';
    is part_size($path), 0, 'its bytes are removed';
    is counter('uploads_expired_total'), 1, 'it is counted';
};


subtest 'C01: a conflict or a busy upload is told by 409 and 423, never 429'
    => sub {
    my $tus = candidate();
    my $path = $tus->create(5);

    is $tus->patch($path, 1, 'x')->{status}, 409, 'another offset';

    my @heads = map { $tus->head($path)->{status} } 1 .. 60;
    is join(' ', grep { $_ != 200 } @heads), '', 'no limit of HEADs';
};


subtest 'C02: trouble at a HEAD is 423, never a 5xx' => sub {
    my $away = Exam::server(server => $lines, http => Exam::http_lines(
        exam_redis => 'unix:/nonexistent/redis', exam_upload_expire => '24h'),
        allow => [qr/exam redis .* (?:failed|is away|connect)/]);
    my $tus = Exam::Tus->new($away, student => 'S098');
    my $unknown = "$Exam::Tus::Path/t1-" . '0' x 32;

    my $res = $tus->head($unknown);
    is $res->{status}, 423, 'what is not known, with Redis away';
    is $res->{reason}, 'Locked', 'the reason';
    is $res->{headers}{'retry-after'}, 1, 'Retry-After';
    is $tus->patch($unknown, 0, 'x')->{status}, 503, 'a PATCH may be a 5xx';

    my $path = $tus->create(5);
    is $tus->offset($path), 0, 'what is there is told without Redis';
    is $tus->patch($path, 0, 'hello')->{status}, 204, 'and taken';
    is $tus->offset($path), 5, 'and complete';
};


subtest 'C03: HEAD has offset and length; equal only when handed over' => sub {
    my $tus = candidate();
    my $path = $tus->create(5);

    for ([0, 'he'], [2, 'llo']) {
        my $h = $tus->head($path)->{headers};

        is $h->{'upload-length'}, 5, 'the length';
        is $h->{'upload-offset'}, $_->[0], 'the offset';
        is ready($path), '', 'not handed over';
        $tus->patch($path, @$_);
    }

    is $tus->offset($path), 5, 'equal';
    is ready($path), 'hello', 'handed over';

    # all bytes are on the disk, but their end was interrupted

    $path = $tus->create(5);
    $tus->patch($path, 0, 'hell');

    my ($id, $hex) = $path =~ m{/([^/]+-(..)[^/]+)\z};
    Exam::spew("$spool/part/$hex/$id.part", 'hello');

    is $tus->offset($path), 5, 'a HEAD brings it to its end';
    is ready($path), 'hello', 'and hands it over';
};


subtest 'C04: each 2xx of a PATCH has Upload-Offset' => sub {
    my $tus = candidate();
    my $path = $tus->create(5);

    for ([0, ''], [0, 'he'], [2, 'llo'], [5, '']) {
        my $res = $tus->patch($path, @$_);

        is $res->{status}, 204, "at $_->[0]";
        is $res->{headers}{'upload-offset'}, $_->[0] + length $_->[1],
            'Upload-Offset';
    }
};


subtest 'C05: overload is 503 with Retry-After' => sub {
    my $few = Exam::server(server => $lines, http => Exam::http_lines(
        exam_kind_uploads => '1'));
    my $tus = Exam::Tus->new($few, student => 'S097');
    my @segment = ('Upload-Length' => 5, 'Upload-Metadata');

    is $tus->post({ @segment, Exam::Tus::metadata(kind => 'screen', n => 0,
        filetype => 'video/webm') })->{status}, 201, 'the first';

    my $res = $tus->post({ @segment, Exam::Tus::metadata(kind => 'screen',
        n => 1, filetype => 'video/webm') });
    is $res->{status}, 503, 'one too many';
    is $res->{code}, 'too_many_uploads', 'the code';
    like $res->{headers}{'retry-after'}, qr/\A[1-9]\d*\z/, 'Retry-After';
};


subtest 'C06: chunks of any size, a stream of unknown length' => sub {
    my $tus = candidate();
    my $path = $tus->create(undef);
    my $offset = 0;

    while ($offset < length $data) {
        my $chunk = substr $data, $offset, 10_000;
        my $last = $offset + length $chunk == length $data;
        my $res = $tus->patch($path, $offset, $chunk,
            $last ? ('Upload-Length' => length $data) : (), chunks => 3000);

        $res->{status} == 204 or fail "at $offset: $res->{status}";
        $offset += length $chunk;
    }

    ok ready($path) eq $data, 'the content';
};


subtest 'P11: chunked, HTTP/1.0, pipelined, empty requests' => sub {
    my $tus = candidate();
    my $path = $tus->create(11);

    is $tus->patch($path, 0, 'hel', version => '1.0')->{status}, 204,
        'HTTP/1.0';
    is $tus->patch($path, 3, 'lo', chunks => 1)->{status}, 204, 'chunked';
    is $tus->patch($path, 5, '')->{status}, 204, 'no byte';
    is $tus->patch($path, 5, '', 'Content-Type' => 'text/plain')->{status},
        415, 'no byte, and a wrong type';

    my $fields = sub {
        my (%more) = @_;
        my @list = @{ $tus->fields(%more) };
        my @lines;

        while (my ($name, $value) = splice @list, 0, 2) {
            push @lines, "$name: $value";
        }

        return \@lines;
    };

    my $wire = Exam::Wire->new($server);
    $wire->send(
        raw_request('HEAD', $path, $fields->())
        . raw_request('PATCH', $path, $fields->('Upload-Offset' => 5,
            'Content-Type' => $type), ' wo')
        . raw_request('PATCH', $path, $fields->('Upload-Offset' => 5,
            'Content-Type' => $type), 'XXX')
        . raw_request('PATCH', $path, $fields->('Upload-Offset' => 8,
            'Content-Type' => $type), 'rld')
        . raw_request('HEAD', $path, $fields->()));

    is $wire->response(head => 1)->{headers}{'upload-offset'}, 5,
        'pipelined: HEAD';
    is $wire->response->{status}, 204, 'pipelined: PATCH';
    is $wire->response->{status}, 409, 'pipelined: a conflict';
    is $wire->response->{status}, 204, 'pipelined: PATCH';
    is $wire->response(head => 1)->{headers}{'upload-offset'}, 11,
        'pipelined: HEAD';
    is ready($path), 'hello world', 'the content';
};


done_testing;
