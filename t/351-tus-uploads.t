# tus 1.0.0: uploads that are created, continued, finished and ended.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha256_hex);

use Exam;
use Exam::Tus qw(candidates ready);
use Exam::Wire;

my $spool = Exam::spool();
my $server = Exam::server(http => Exam::http_lines(
    exam_max_bytes => '16m', exam_kind_uploads => '4',
    exam_segment_window => '1000'));
my $url = $server->url;
my $type = 'application/offset+octet-stream';
my $data = join '', map { sha256($_) } 1 .. 8192;       # 256 KB

Exam::load_exam('30', students => { map { sprintf('S%03d', $_) => {} }
                                    1 .. 99 });


*candidate = candidates($server);

sub segment {
    my ($n, @more) = @_;

    return ('Upload-Metadata' => Exam::Tus::metadata(
        kind => 'screen', n => $n, filetype => 'video/webm', @more));
}

sub is_offset {
    my ($tus, $path, $offset, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is $tus->offset($path), $offset, $name;
}

sub failed {
    return Exam::request('GET', "$url/metrics")->{content}
        =~ /^exam_uploads_failed_total (\d+)$/m ? $1 : die "no metrics\n";
}

# The server has noticed that one more connection has ended.

sub noticed {
    my ($before) = @_;

    return Exam::wait_for { failed() > $before } 20;
}


subtest 'T07: HEAD tells offset, length and no-store' => sub {
    my $tus = candidate();
    my $path = $tus->create(11, segment(0));

    for my $offset (0, 5, 11) {
        my $res = $tus->head($path);
        my $h = $res->{headers};

        is $res->{status}, 200, "at $offset";
        is $h->{'upload-offset'}, $offset, 'Upload-Offset';
        is $h->{'upload-length'}, 11, 'Upload-Length';
        is $h->{'cache-control'}, 'no-store', 'Cache-Control';
        is $h->{'upload-defer-length'}, undef, 'no Upload-Defer-Length';

        $tus->patch($path, 0, 'hello') if $offset == 0;
        $tus->patch($path, 5, ' world') if $offset == 5;
    }
};


subtest 'T06: a POST that stands for another method' => sub {
    my $tus = candidate();
    my $path = $tus->create(5, segment(0));

    my $res = $tus->req('POST', $path,
                        { 'X-HTTP-Method-Override' => 'HEAD' }, '');
    is $res->{status}, 200, 'HEAD';
    is $res->{headers}{'upload-offset'}, 0, 'HEAD: the offset';

    $res = $tus->req('POST', $path, { 'X-HTTP-Method-Override' => 'PATCH',
        'Upload-Offset' => 0, 'Content-Type' => $type }, 'hel');
    is $res->{status}, 204, 'PATCH';
    is_offset($tus, $path, 3, 'PATCH: the offset');

    $res = $tus->req('POST', $path, { 'X-HTTP-Method-Override' => 'DELETE' },
                     '');
    is $res->{status}, 204, 'DELETE';
    is $tus->head($path)->{status}, 410, 'DELETE: gone';
};


subtest 'T08: of another candidate an upload is not there' => sub {
    my ($tus, $other) = (candidate(), candidate());
    my $path = $tus->create(5, segment(0));

    for my $res ($other->head($path), $other->patch($path, 0, 'x'),
                 $other->delete($path))
    {
        is $res->{status}, 404, 'another student';
        is $res->{headers}{'upload-offset'}, undef, 'no Upload-Offset';
    }

    my $again = Exam::Tus->new($server, exam => '31', student => 'S001');
    is $again->head($path)->{status}, 404, 'another exam';
    is_offset($tus, $path, 0, 'it is untouched');
};


subtest 'T09: HEAD gives Upload-Metadata back as it was sent' => sub {
    my $tus = candidate();
    my $metadata = 'zebra,kind c2NyZWVu,n MA==,a "quoted",filename '
                   . 'd2VsdCAiMSI=,filetype dmlkZW8vd2VibQ==,empty ';

    $metadata = 'zebra,kind c2NyZWVu,n MA==,filename d2VsdCAiMSI=,'
                . 'filetype dmlkZW8vd2VibQ==,is"odd\\key eA==';

    my $path = $tus->create(5, 'Upload-Metadata' => $metadata);
    is $tus->head($path)->{headers}{'upload-metadata'}, $metadata, 'verbatim';

    $tus->patch($path, 0, 'hello');
    is $tus->head($path)->{headers}{'upload-metadata'}, $metadata,
        'of a complete one, too';
};


subtest 'T11: a PATCH at another offset is 409 and changes nothing' => sub {
    my $tus = candidate();
    my $path = $tus->create(11, segment(0));

    $tus->patch($path, 0, 'hello');

    for my $offset (0, 4, 6, 11) {
        my $res = $tus->patch($path, $offset, 'XXXXX');

        is $res->{status}, 409, "at $offset";
        is $res->{code}, 'offset_mismatch', 'the code';
        is $res->{json}{'expected-offset'}, 5, 'the right one, in the body';
        is $res->{json}{'provided-offset'}, $offset, '... and the wrong one';
        is $res->{headers}{'upload-offset'}, 5, 'the right one';
    }

    is $tus->patch($path, 12, 'x')->{status}, 409, 'beyond the length';
    is $tus->patch($path, 5, ' world')->{status}, 204, 'the right one';
    is ready($path), 'hello world', 'the content';
};


subtest 'T12: a PATCH is 204 with the new offset' => sub {
    my $tus = candidate();
    my $path = $tus->create(length $data, segment(0));
    my $offset = 0;

    for my $n (1, 4095, 4096, 100_000, 0, length($data) - 108_192) {
        my $res = $tus->patch($path, $offset, substr $data, $offset, $n);

        $offset += $n;
        is $res->{status}, 204, "$n bytes";
        is $res->{headers}{'upload-offset'}, $offset, 'the offset';
        is $res->{body}, '', 'no body';
    }

    ok ready($path) eq $data, 'the content';
};


subtest 'T13: a PATCH beyond the length is 413, stored is no byte beyond'
    => sub {
    my $tus = candidate();
    my $path = $tus->create(10, segment(0));

    my $res = $tus->patch($path, 0, 'x' x 11, Expect => '100-continue');
    is $res->{status}, 413, 'by its length';
    is $res->{continued}, 0, 'before the body';
    is_offset($tus, $path, 0, 'nothing is stored');

    $res = $tus->patch($path, 0, 'y' x 4000, chunks => 1000);
    is $res->{status}, 413, 'in chunks';
    is $res->{headers}{'tus-resumable'}, '1.0.0', 'with the field';

    my $offset = $tus->offset($path);
    cmp_ok $offset, '<=', 10, 'no byte beyond';
};


subtest 'W11: an attachment is told where its recording can be asked for'
    => sub {
    my $tus = candidate();

    for my $n (0, 1) {
        my $res = $tus->post({ 'Upload-Length' => 5 });
        my $path = Exam::Tus::path($res);
        my $link = $res->{headers}{link};

        like $link, qr{\A<http://localhost/api/v1/recordings/file/$n\?session=
                       [0-9a-f]{32}>;[ ]rel="describedby"\z}x, "number $n";
        is $tus->head($path)->{headers}{link}, $link, 'HEAD tells it, too';
        is $tus->patch($path, 0, 'hello')->{headers}{link}, $link, 'and PATCH';

        $res = $tus->req('GET', $link =~ m{\Ahttp://[^/]+([^>]+)>}
                                || $link =~ m{://[^/]+(/[^>]+)} ? $1 : '');
        is $res->{json}{bytes}, 5, 'there it is';
    }

    my $res = $tus->post({ 'Upload-Length' => 5, 'Content-Type' => $type,
                           'Upload-Complete' => '?1' }, 'hello');
    is "$res->{json}{kind} $res->{json}{n}", 'file 2', 'the draft: in the body';

    is $tus->head(Exam::Tus::path($tus->post({ 'Upload-Length' => 5,
        segment(7) })))->{headers}{link} =~ m{/recordings/screen/7\?} ? 1 : 0,
        1, 'so is a segment';
};


subtest 'T20: the query says what is not in the metadata' => sub {
    my $tus = candidate();
    my $query = '?kind=screen&n=3&started_at=5&filetype=video%2Fwebm'
                . '%3Bcodecs%3D%22vp9%2Copus%22';

    my $res = $tus->post({ 'Upload-Length' => 5 }, '',
                         path => "$Exam::Tus::Path$query");
    is $res->{status}, 201, 'its type, too';

    my ($id, $hex) = Exam::Tus::path($res) =~ m{/([^/]+-(..)[^/]+)\z};
    like Exam::slurp("$spool/part/$hex/$id.info"),
        qr/video\/webm;codecs=\\"vp9,opus\\"/, 'it is that';

    for my $bad ('%00', 'video%2Fwebm%0d', 'a/' . 'b' x 1000) {
        $res = $tus->post({ 'Upload-Length' => 5 }, '', path =>
                          "$Exam::Tus::Path?kind=screen&n=4&filetype=$bad");
        is "$res->{status} $res->{code}", '400 bad_argument', $bad;
        like $res->{json}{detail}, qr/filetype is a media type/, '... named';
    }
};


subtest 'T14: a connection that breaks leaves what has arrived' => sub {
    for my $end ('close', 'shut down', 'reset') {
        my $tus = candidate();
        my $path = $tus->create(length $data, segment(0));
        my $wire = Exam::Wire->new($server);
        my $before = failed();

        $wire->head('PATCH', $path, $tus->fields('Upload-Offset' => 0,
            'Content-Type' => $type, 'Content-Length' => length $data));
        $wire->send(substr $data, 0, 200_000);

        if ($end eq 'reset') {
            setsockopt $wire->{sock}, Socket::SOL_SOCKET(),
                       Socket::SO_LINGER(), pack('ii', 1, 0);
        }

        $end eq 'shut down' ? shutdown($wire->{sock}, 1) : $wire->close;

        ok noticed($before), "$end: the server has noticed";

        my $offset = $tus->offset($path);
        cmp_ok $offset, '<=', 200_000, "$end: no byte too much";
        is $offset, 200_000, "$end: not one byte is lost"
            if $end ne 'reset';

        is $tus->patch($path, $offset, substr $data, $offset)
            ->{status}, 204, "$end: the rest";
        ok ready($path) eq $data, "$end: the content";
    }
};


sub part_size {
    my ($path) = @_;
    my ($id, $hex) = $path =~ m{/([^/]+-(..)[^/]+)\z};

    return -s "$spool/part/$hex/$id.part" // 0;
}


subtest 'T16: a PATCH at the end of a complete upload does nothing' => sub {
    my $tus = candidate();
    my $path = $tus->create(5, segment(0));

    $tus->patch($path, 0, 'hello');

    for (1 .. 2) {
        my $res = $tus->patch($path, 5, '');

        is $res->{status}, 204, 'no byte';
        is $res->{headers}{'upload-offset'}, 5, 'the offset';
    }

    is $tus->patch($path, 3, 'lo')->{status}, 409, 'at another offset';
    is $tus->patch($path, 5, 'x')->{status}, 413, 'a byte too much';
    is scalar(my @n = glob "$spool/ready/*-*.info"),
        scalar(my @m = glob "$spool/ready/*-*.rec"), 'one hand-over each';
};


subtest 'T20: a creation is 201 with an absolute Location' => sub {
    my $tus = candidate();

    my $res = $tus->post({ 'Upload-Length' => 5, segment(0) });
    is $res->{status}, 201, 'Upload-Length';
    like $res->{headers}{location},
        qr{\Ahttp://localhost/api/v1/uploads/t1-[0-9a-f]{32}\z}, 'Location';
    is $res->{body}, '', 'no body';

    $res = $tus->post({ 'Upload-Defer-Length' => 1, segment(1),
                        Host => undef, 'X-Forwarded-Proto' => 'https' });
    is $res->{status}, 201, 'Upload-Defer-Length';
    like $res->{headers}{location}, qr{\Ahttp://}, 'the scheme that was used';

    my $public = Exam::server(http => Exam::http_lines(
        exam_public_url => 'https://exam.example/x/'));
    $res = Exam::Tus->new($public, student => 'S099')
        ->post({ 'Upload-Length' => 5, segment(0) });
    like $res->{headers}{location},
        qr{\Ahttps://exam\.example/x/api/v1/uploads/t1-}, 'exam_public_url';
};


subtest 'T24: a length that is told later' => sub {
    my $tus = candidate();
    my $path = $tus->create(undef, segment(0));

    my $h = $tus->head($path)->{headers};
    is $h->{'upload-defer-length'}, 1, 'Upload-Defer-Length';
    is $h->{'upload-length'}, undef, 'no Upload-Length';

    is $tus->patch($path, 0, 'hello')->{status}, 204, 'without a length';
    is $tus->head($path)->{headers}{'upload-defer-length'}, 1, 'still not';

    is $tus->patch($path, 5, 'x', 'Upload-Length' => 4)->{status}, 400,
        'less than what is there';
    is $tus->patch($path, 5, 'x', 'Upload-Length' => 17 << 20)->{status}, 413,
        'more than allowed';
    is $tus->head($path)->{headers}{'upload-defer-length'}, 1, 'neither is';

    is $tus->patch($path, 5, ' wo', 'Upload-Length' => 11)->{status}, 204,
        'a length';
    $h = $tus->head($path)->{headers};
    is $h->{'upload-length'}, 11, 'is kept';
    is $h->{'upload-defer-length'}, undef, 'no longer deferred';

    is $tus->patch($path, 8, 'rld', 'Upload-Length' => 12)->{status}, 400,
        'another one';
    is $tus->patch($path, 8, 'rld', 'Upload-Length' => 11)->{status}, 204,
        'the same again';
    is ready($path), 'hello world', 'the content';

    $path = $tus->create(undef, segment(1));
    $tus->patch($path, 0, 'hello');
    is $tus->patch($path, 5, '', 'Upload-Length' => 5)->{status}, 204,
        'the length alone';
    is ready($path), 'hello', 'completes it';
};


subtest 'T25: a creation with the first bytes, or with all' => sub {
    my $tus = candidate();

    my $res = $tus->post({ 'Upload-Length' => 11, 'Content-Type' => $type,
                           segment(0) }, 'hello');
    is $res->{status}, 201, 'the first';
    is $res->{headers}{'upload-offset'}, 5, 'Upload-Offset';

    my $path = Exam::Tus::path($res);
    is_offset($tus, $path, 5, 'they are there');
    is $tus->patch($path, 5, ' world')->{status}, 204, 'the rest';
    is ready($path), 'hello world', 'the content';

    $res = $tus->post({ 'Upload-Length' => 5, 'Content-Type' => $type,
                        segment(1) }, 'hello');
    is $res->{status}, 201, 'all';
    is $res->{headers}{'upload-offset'}, 5, 'all: Upload-Offset';
    is ready(Exam::Tus::path($res)), 'hello', 'all: the content';

    $res = $tus->post({ 'Upload-Length' => 5, 'Content-Type' => 'text/plain',
                        segment(2) }, '');
    is $res->{status}, 201, 'no body: its type says nothing';
    is $res->{headers}{'upload-offset'}, undef, 'no body: no Upload-Offset';
};


subtest 'T26: what is taken is asked for, once' => sub {
    my $tus = candidate();

    for my $how ('POST', 'PATCH') {
        my $path = $how eq 'PATCH' ? $tus->create(5, segment(1)) : undef;
        my $wire = Exam::Wire->new($server);
        my %fields = ('Content-Type' => $type, 'Content-Length' => 5,
                      Expect => '100-continue');

        $wire->head($how, $path // $Exam::Tus::Path, $tus->fields(%fields,
            $path ? ('Upload-Offset' => 0)
                  : ('Upload-Length' => 5, segment(0))));

        is $wire->response(interim => 1)->{status}, 100, "$how: 100";
        $wire->send('hello');

        my $res = $wire->response;
        is $res->{status}, $path ? 204 : 201, "$how: the answer";
        is $res->{continued}, 0, "$how: one 100";
    }

    my $path = $tus->create(5, segment(2));
    my $res = $tus->patch($path, 3, 'xx', Expect => '100-continue');
    is $res->{status}, 409, 'another offset';
    is $res->{continued}, 0, 'another offset: no 100';
};


subtest 'T27: a creation that breaks off is found again by its number' => sub {
    my $tus = candidate();
    my %create = ('Upload-Length' => length $data, segment(0));
    my $wire = Exam::Wire->new($server);
    my $before = failed();

    $wire->head('POST', $Exam::Tus::Path, $tus->fields(%create,
        'Content-Type' => $type, 'Content-Length' => length $data));
    $wire->send(substr $data, 0, 100_000);
    $wire->close;
    ok noticed($before), 'the server has noticed';

    my $res;

    ok Exam::wait_for {
        $res = $tus->post({ %create });
        $res->{status} == 201 && ($res->{headers}{'upload-offset'} // 0);
    }, 'the same Location, with what has arrived';
    is $res->{headers}{'upload-offset'}, 100_000, 'all of it';

    my $path = Exam::Tus::path($res);
    is $tus->patch($path, 100_000, substr $data, 100_000)->{status}, 204,
        'the rest';
    ok ready($path) eq $data, 'the content';
};


subtest 'T30: Upload-Expires is told by POST, PATCH and HEAD' => sub {
    my $tus = candidate();
    my $post = $tus->post({ 'Upload-Length' => 11, segment(0) });
    my $path = Exam::Tus::path($post);
    my $date = qr/\A(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),[ ]\d\d[ ][A-Z][a-z]{2}
                  [ ]\d{4}[ ]\d\d:\d\d:\d\d[ ]GMT\z/x;

    like $post->{headers}{'upload-expires'}, $date, 'POST';
    like $tus->patch($path, 0, 'hello')->{headers}{'upload-expires'}, $date,
        'PATCH';
    like $tus->head($path)->{headers}{'upload-expires'}, $date, 'HEAD';
    is $tus->patch($path, 5, ' world')->{headers}{'upload-expires'}, undef,
        'not of a complete one';
};


subtest 'T41: a wrong checksum is 460 and stores nothing' => sub {
    my $tus = candidate();
    my $path = $tus->create(11, segment(0));

    for my $alg (qw(sha1 sha256 crc32c)) {
        my $offset = $tus->offset($path);
        my $res = $tus->patch($path, $offset, 'hello', 'Upload-Checksum' =>
                              Exam::Tus::checksum($alg, 'hellO'));

        is $res->{status}, 460, "$alg: wrong";
        is $res->{reason}, 'Checksum Mismatch', "$alg: the reason";
        is_offset($tus, $path, $offset, "$alg: nothing is stored");

        $res = $tus->patch($path, $offset, 'abc', 'Upload-Checksum' =>
                           Exam::Tus::checksum($alg, 'abc'));
        is $res->{status}, 204, "$alg: right";
        is_offset($tus, $path, $offset + 3, "$alg: is stored");
    }

    my $res = $tus->patch($path, 9, 'de', 'Upload-Checksum' => 'sha1 YQ==');
    is $res->{status}, 460, 'of a wrong length';

    $res = $tus->patch($path, 9, 'de', chunks => 1, 'Upload-Checksum' =>
                       Exam::Tus::checksum('sha256', 'de'));
    is $res->{status}, 204, 'the last bytes, in chunks';
    is ready($path), 'abcabcabcde', 'the content';

    # a client that goes away has not sent all: nothing of it counts

    $path = $tus->create(length $data, segment(1));
    my $wire = Exam::Wire->new($server);
    my $before = failed();
    $wire->head('PATCH', $path, $tus->fields('Upload-Offset' => 0,
        'Content-Type' => $type, 'Content-Length' => length $data,
        'Upload-Checksum' => Exam::Tus::checksum('sha1', $data)));
    $wire->send(substr $data, 0, 200_000);
    $wire->close;
    ok noticed($before), 'a client that goes';
    is_offset($tus, $path, 0, 'has stored nothing');

    # with a creation

    $res = $tus->post({ 'Upload-Length' => 5, 'Content-Type' => $type,
        segment(2), 'Upload-Checksum' => Exam::Tus::checksum('sha1', 'x') },
        'hello');
    is $res->{status}, 460, 'a creation with a wrong one';

    $res = $tus->post({ 'Upload-Length' => 5, 'Content-Type' => $type,
        segment(2), 'Upload-Checksum' => Exam::Tus::checksum('sha1', 'hello')
        }, 'hello');
    is $res->{status}, 201, 'a creation with the right one';
    is ready(Exam::Tus::path($res)), 'hello', 'its content';
};


subtest 'T50: DELETE is 204, then the upload is gone' => sub {
    my $tus = candidate();
    my $path = $tus->create(11, segment(0));

    $tus->patch($path, 0, 'hello');
    is $tus->delete($path)->{status}, 204, 'an incomplete one';

    for my $res ($tus->head($path), $tus->patch($path, 5, 'x'),
                 $tus->delete($path))
    {
        is $res->{status}, 410, 'gone';
        is $res->{headers}{'upload-offset'}, undef, 'no Upload-Offset';
    }

    is part_size($path), 0, 'its bytes are removed';

    my $again = $tus->create(5, segment(0));
    isnt $again, $path, 'the number is free';
    is $tus->patch($again, 0, 'hello')->{status}, 204, 'for another upload';

    is $tus->delete($again)->{status}, 204, 'a complete one';
    is $tus->head($again)->{status}, 410, 'its URL is gone';
    is ready($again), 'hello', 'the recording stays';
    is $tus->delete("$Exam::Tus::Path/t1-" . '9' x 32)->{status}, 404,
        'an unknown one';
};


done_testing;
