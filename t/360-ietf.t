# Resumable uploads of the IETF, interop version 8.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha256_hex);

use Exam;
use Exam::Tus qw(candidates ready);
use Exam::Wire;

my $server = Exam::server(http => Exam::http_lines(
    exam_max_bytes => '32m', exam_kind_uploads => '4',
    exam_segment_window => '1000'));
my $url = $server->url;
my $problem = 'https://iana.org/assignments/http-problem-types#';
my $limit = 'min-size=0, max-size=33554432, max-age=86400';
my $left = qr/^min-size=0,\ max-size=33554432,\ max-age=86[34]\d\d$/x;
my $data = join '', map { sha256($_) } 1 .. 8192;       # 256 KB

Exam::load_exam('30', students => { map { sprintf('S%03d', $_) => {} }
                                    1 .. 99 });


# Exam::Tus with the fields of the draft instead.

*candidate = candidates($server, fields => {
    'Tus-Resumable' => undef, 'Upload-Draft-Interop-Version' => 8 });

sub target { return "$Exam::Tus::Path?kind=screen&n=$_[0]" }

sub create {
    my ($c, $n, $complete, $body, %fields) = @_;

    my %opt = map { exists $fields{$_} ? ($_ => delete $fields{$_}) : () }
                  qw(wire version chunks);

    return $c->post({ 'Upload-Complete' => $complete,
                      'Content-Type' => 'video/webm', %fields }, $body,
                    path => target($n), %opt);
}

sub append {
    my ($c, $path, $offset, $complete, $body, %fields) = @_;

    return $c->patch($path, $offset, $body, 'Upload-Complete' => $complete,
                     'Content-Type' => 'application/partial-upload', %fields);
}

sub started {
    my ($c, $n, $body, %fields) = @_;

    my $res = create($c, $n, '?0', $body // '', %fields);

    die "no upload: $res->{status} $res->{body}\n" if $res->{status} != 201;
    return Exam::Tus::path($res);
}


subtest 'R01: 104 only for interop version 8, and with that version' => sub {
    for my $version (8, 7, 6, 3, 9, '', undef) {
        my $res = create(candidate(), 0, '?1', 'hello',
                         'Upload-Draft-Interop-Version' => $version);
        my $name = $version // 'none';

        is $res->{status}, 201, "$name: the answer";
        is scalar @{ $res->{interim} }, $name eq 8 ? 1 : 0, "$name: 104";
        is $_->{headers}{'upload-draft-interop-version'}, 8, 'its version'
            for @{ $res->{interim} };
    }

    # nginx as a proxy takes it for the answer

    for (['X-Forwarded-For' => '10.0.0.1'], ['x-forwarded-proto' => 'https'],
         [Forwarded => 'for=10.0.0.1'], [Via => '1.1 a'],
         ['X-Real-IP' => '10.0.0.1'])
    {
        my $res = create(candidate(), 0, '?1', 'hello', @$_);

        is $res->{status}, 201, "$_->[0]: the answer";
        is scalar @{ $res->{interim} }, 0, "$_->[0]: no 104";
    }
};


subtest 'R02: Upload-Complete makes a POST an upload; it is a Boolean' => sub {
    my $c = candidate();
    my $plain = candidate(fields => { 'Tus-Resumable' => undef });

    is create($plain, 0, '?0', 'hello')->{status}, 201, '?0';
    is create($plain, 1, '?1', 'hello')->{status}, 201, '?1';
    is create($plain, 2, '?1;a=b', 'hello')->{status}, 201, 'a parameter';

    for my $bad ('1', 'true', '?2', '?', '"?1"', '?1, ?0', '', 'x') {
        is create($plain, 3, $bad, 'hello')->{status}, 412,
            "$bad: as if it were not there";
        is create($c, 3, $bad, 'hello')->{status}, 400,
            "$bad: of a client of the draft";
    }

    is create($c, 3, undef, 'hello')->{status}, 400, 'none';
};


subtest 'R03: 104 tells the upload before its body is read; 100 comes too'
    => sub {
    my $c = candidate();
    my $wire = Exam::Wire->new($server);

    $wire->head('POST', target(0), $c->fields('Upload-Complete' => '?1',
        'Content-Type' => 'video/webm', 'Content-Length' => 5,
        Expect => '100-continue'));

    my $res = $wire->response(interim => 1);
    is $res->{status}, 104, 'an interim response';
    is $res->{reason}, 'Upload Resumption Supported', 'the reason';
    like $res->{headers}{location},
        qr{\Ahttp://localhost/api/v1/uploads/t1-[0-9a-f]{32}\z}, 'Location';
    like $res->{headers}{'upload-limit'}, $left, 'Upload-Limit';
    is $res->{headers}{'upload-offset'}, undef, 'no offset';

    my $path = Exam::Tus::path($res);

    is $wire->response(interim => 1)->{status}, 100, '100 behind it';
    $wire->send('hello');
    is $wire->response->{status}, 201, 'the answer';
    is ready($path), 'hello', 'the upload that was told';

    is scalar @{ create($c, 1, '?0', '')->{interim} }, 0,
        'none without a body';
    is scalar @{ create($c, 2, '?1', 'hello', version => '1.0')->{interim} },
        0, 'none for HTTP/1.0';
    is scalar @{ $c->post({ 'Upload-Complete' => '?1',
                            'Content-Type' => 'text/html' }, 'x',
                          path => target(3))->{interim} }, 0,
        'none with a refusal';
};


subtest 'R04: a creation with all, with a part' => sub {
    my $c = candidate();
    my $res = create($c, 0, '?1', 'hello');

    is $res->{status}, 201, 'all';
    is $res->{headers}{'upload-complete'}, '?1', 'all: Upload-Complete';
    is $res->{json}{sha256}, sha256_hex('hello'), 'all: the answer of a PUT';
    is $res->{json}{bytes}, 5, 'all: its bytes';
    is $res->{headers}{'repr-digest'}, Exam::Tus::digest('hello'),
        'all: Repr-Digest';

    $res = create($c, 1, '?0', 'hello');
    is $res->{status}, 201, 'a part';
    is $res->{headers}{'upload-complete'}, '?0', 'a part: Upload-Complete';
    like $res->{headers}{'upload-limit'}, $left, 'a part: Upload-Limit';
    is $res->{headers}{'upload-offset'}, 5, 'a part: Upload-Offset';
    like $res->{headers}{location}, qr{\Ahttp://localhost/},
        'a part: Location';

    $res = create($c, 2, '?0', '', 'Upload-Length' => 5);
    is $res->{status}, 201, 'nothing yet';
    is $res->{headers}{'upload-offset'}, 0, 'nothing yet: Upload-Offset';
};


subtest 'R05: all responses of a request name one Location' => sub {
    my $c = candidate();
    my $res = create($c, 0, '?0', 'hello');

    is scalar @{ $res->{interim} }, 1, 'a 104';
    is $res->{interim}[0]{headers}{location}, $res->{headers}{location},
        'the same';

    $res = create($c, 1, '?1', 'hello');
    is $res->{headers}{location}, $res->{interim}[0]{headers}{location},
        'with all, too';
    is $c->head(Exam::Tus::path($res))->{headers}{'upload-complete'}, '?1',
        '... where it can be asked for';
};


subtest 'R06: HEAD and GET tell offset, completeness, length and limits'
    => sub {
    my $c = candidate();
    my $path = started($c, 0, 'hello', 'Upload-Length' => 11);

    for my $method (qw(HEAD GET)) {
        my $res = $c->req($method, $path);
        my $h = $res->{headers};

        is $res->{status}, 204, $method;
        is $h->{'upload-offset'}, 5, 'Upload-Offset';
        is $h->{'upload-complete'}, '?0', 'Upload-Complete';
        is $h->{'upload-length'}, 11, 'Upload-Length';
        like $h->{'upload-limit'}, $left, 'Upload-Limit';
        is $h->{'cache-control'}, 'no-store', 'Cache-Control';
    }

    append($c, $path, 5, '?1', ' world');
    my $h = $c->head($path)->{headers};
    is $h->{'upload-offset'}, 11, 'complete: Upload-Offset';
    is $h->{'upload-complete'}, '?1', 'complete: Upload-Complete';

    $path = started($c, 1, 'hello');
    is $c->head($path)->{headers}{'upload-length'}, undef, 'no length known';
};


subtest 'R07: an append has its type, its offset and Upload-Complete' => sub {
    my $c = candidate();
    my $path = started($c, 0, 'hello');

    is append($c, $path, 5, '?0', 'x', 'Content-Type' => $_)->{status}, 415,
        "type $_"
        for 'application/octet-stream', 'application/offset+octet-stream',
            'application/partial-uploads';
    is append($c, $path, 5, '?0', 'x', 'Content-Type' => undef)->{status}, 415,
        'no type';
    is append($c, $path, 5, undef, 'x')->{status}, 400, 'no Upload-Complete';
    is append($c, $path, $_ // undef, '?0', 'x')->{status}, 400,
        'offset ' . ($_ // 'none') for undef, '', '-1', 'x', '5.0', 10 ** 15;

    for my $offset (0, 4, 6) {
        my $res = append($c, $path, $offset, '?1', 'XXX');

        is $res->{status}, 409, "at $offset";
        is $res->{headers}{'upload-offset'}, 5, 'the right one';
        is $res->{headers}{'upload-complete'}, '?0', 'Upload-Complete';
        is $res->{headers}{'content-type'}, 'application/problem+json',
            'a problem';
        is $res->{json}{type}, "${problem}mismatching-upload-offset", 'type';
        is $res->{json}{'expected-offset'}, 5, 'expected-offset';
        is $res->{json}{'provided-offset'}, $offset, 'provided-offset';
    }

    is append($c, $path, 5, '?1', ' world')->{status}, 201, 'the right one';
    is ready($path), 'hello world', 'the content';
};


subtest 'R08: appends that end the upload, and that do not' => sub {
    my $c = candidate();
    my $path = started($c, 0);
    my $res = append($c, $path, 0, '?0', 'hello');

    is $res->{status}, 204, 'a part';
    is $res->{headers}{'upload-complete'}, '?0', 'a part: Upload-Complete';
    is $res->{headers}{'upload-offset'}, 5, 'a part: Upload-Offset';

    $res = append($c, $path, 5, '?1', ' world');
    is $res->{status}, 201, 'the last: the answer of a PUT';
    is $res->{headers}{'upload-complete'}, '?1', 'the last: Upload-Complete';
    is $res->{json}{sha256}, sha256_hex('hello world'), 'the last: its hash';

    $path = started($c, 1, 'hello');
    $res = append($c, $path, 5, '?1', '');
    is $res->{status}, 201, 'an empty last one';
    is ready($path), 'hello', 'an empty last one: the content';
};


subtest 'R09: what is said of the length must agree' => sub {
    my $c = candidate();

    for (['a creation with all', sub {
             create($c, 0, '?1', 'hello', 'Upload-Length' => 6) }],
         ['a creation with more', sub {
             create($c, 0, '?0', 'hello', 'Upload-Length' => 4) }])
    {
        my $res = $_->[1]->();
        is $res->{status}, 400, $_->[0];
        is $res->{json}{type}, "${problem}inconsistent-upload-length",
            "$_->[0]: the type";
    }

    my $n = 10;

    for (['another length', 5, '?0', 'x', 'Upload-Length' => 12],
         ['less than the length with the last', 5, '?1', 'x'],
         ['more than the length', 5, '?0', 'x' x 7],
         ['more with the last', 5, '?1', 'x' x 7])
    {
        my ($name, @args) = @$_;
        my $path = started($c, $n++, 'hello', 'Upload-Length' => 11);
        my $res = append($c, $path, @args);

        is $res->{status}, 400, $name;
        is $res->{json}{type}, "${problem}inconsistent-upload-length",
            "$name: the type";
        is append($c, $path, 5, '?1', ' world')->{status}, 410,
            "$name: it is of no use any more";
    }

    # in chunks it is seen when they come

    for (['?0', 3000, 1000], ['?1', 7, 7], ['?1', 2_000_000, 100_000],
         ['?1', 5, 5])
    {
        my ($complete, $bytes, $chunk) = @$_;
        my $name = "$bytes bytes in chunks, $complete";
        my $path = started($c, $n++, 'hello', 'Upload-Length' => 11);
        my $res = append($c, $path, 5, $complete, 'x' x $bytes,
                         chunks => $chunk);

        is $res->{status}, 400, $name;
        is $res->{json}{type}, "${problem}inconsistent-upload-length",
            "$name: the type";
        is $c->head($path)->{status}, 410, "$name: HEAD finds it gone";
        is append($c, $path, 5, '?1', ' world')->{status}, 410,
            "$name: it is of no use any more";
    }

    my $res = create($c, $n, '?0', 'x' x 3000, chunks => 1000,
                     'Upload-Length' => 11);
    is $res->{status}, 400, 'a creation with more, in chunks';

    my $path = started($c, $n, 'hello', 'Upload-Length' => 11);
    isnt $path, Exam::Tus::path($res->{interim}[0]), '... its number is free';
    is $c->head(Exam::Tus::path($res->{interim}[0]))->{status}, 410,
        '... it is gone';
};


subtest 'R11: all bytes may be there before the upload is complete' => sub {
    my $c = candidate();
    my $path = started($c, 0, 'hello', 'Upload-Length' => 5);
    my $h = $c->head($path)->{headers};

    is $h->{'upload-offset'}, 5, 'all bytes';
    is $h->{'upload-complete'}, '?0', 'not complete';
    is ready($path), '', 'nor handed over';

    is append($c, $path, 5, '?1', '')->{status}, 201, 'the last';
    is ready($path), 'hello', 'the content';
};


subtest 'R13: content that breaks off is kept, and is not complete' => sub {
    for my $how ('a creation', 'an append') {
        my $c = candidate();
        my $path = $how eq 'an append' ? started($c, 0) : undef;
        my $wire = Exam::Wire->new($server);
        my $before = failed();

        $wire->head($path ? ('PATCH', $path) : ('POST', target(0)),
            $c->fields('Upload-Complete' => '?1',
                'Content-Length' => length $data, 'Content-Type' => $path
                    ? 'application/partial-upload' : 'video/webm',
                $path ? ('Upload-Offset' => 0) : ()));
        $path //= Exam::Tus::path($wire->response(interim => 1));
        $wire->send(substr $data, 0, 100_000);
        $wire->close;

        ok noticed($before), "$how: noticed";

        my $h = $c->head($path)->{headers};
        is $h->{'upload-offset'}, 100_000, "$how: the prefix";
        is $h->{'upload-complete'}, '?0', "$how: not complete";
        is append($c, $path, 100_000, '?1', substr $data, 100_000)->{status},
            201, "$how: the rest";
        ok ready($path) eq $data, "$how: the content";
    }
};


sub noticed {
    my ($before) = @_;

    return Exam::wait_for { failed() > $before } 20;
}

sub failed {
    return Exam::request('GET', "$url/metrics")->{content}
        =~ /^exam_uploads_failed_total (\d+)$/m ? $1 : die "no metrics\n";
}


subtest 'R14: 104 tells durable offsets while the body comes' => sub {
    my $c = candidate();
    my $body = $data x 64;                              # 16 MB
    my $res = create($c, 0, '?1', $body);

    is $res->{status}, 201, 'the upload';

    my ($first, @more) = @{ $res->{interim} };
    ok $first->{headers}{location}, 'the first has Location';
    cmp_ok scalar @more, '>=', 1, 'then there are offsets';

    my $last = 0;
    my $wrong = 0;

    for my $h (map { $_->{headers} } @more) {
        $wrong++ if defined $h->{location}
            || ($h->{'upload-draft-interop-version'} // '') ne 8
            || $h->{'upload-offset'} <= $last
            || $h->{'upload-offset'} > length $body;
        $last = $h->{'upload-offset'};
    }

    is $wrong, 0, 'each higher than the one before, without Location';
    is $res->{json}{sha256}, sha256_hex($body), 'the content';
};


subtest 'R15: OPTIONS tells the limits' => sub {
    is candidate()->options->{headers}{'upload-limit'}, $limit, 'Upload-Limit';

    my $res = create(candidate(), 0, '?0', '', 'Upload-Length' => 33554433);
    is $res->{status}, 413, 'over them';
    is $res->{headers}{'upload-limit'}, $limit, '413 tells them';
};


subtest 'R16: DELETE is 204' => sub {
    my $c = candidate();
    my $path = started($c, 0, 'hello');

    is $c->delete($path)->{status}, 204, 'an incomplete one';
    is $c->head($path)->{status}, 410, 'gone';
    is append($c, $path, 5, '?1', 'x')->{status}, 410, 'for appends, too';
};


subtest 'R17: the last append once more gets the same answer' => sub {
    my $c = candidate();
    my $path = started($c, 0, 'hello');
    my $first = append($c, $path, 5, '?1', ' world');

    for ([5, ' world'], [11, '']) {
        my $res = append($c, $path, $_->[0], '?1', $_->[1]);

        is $res->{status}, 200, "at $_->[0]";
        is $res->{headers}{'upload-complete'}, '?1', 'Upload-Complete';
        is $res->{json}{$_}, $first->{json}{$_}, $_ for qw(id bytes sha256);
    }

    for ([0, '?1', 'x'], [11, '?0', ''], [11, '?1', 'x']) {
        my $res = append($c, $path, @$_);
        is $res->{status}, 400, "@$_";
        is $res->{json}{type}, "${problem}completed-upload", 'the type';
    }

    is ready($path), 'hello world', 'the content stays';
};


subtest 'R18: the state of the exam counts at the end, too' => sub {
    my $c = Exam::Tus->new($server, exam => '44', student => 'S001',
        fields => { 'Tus-Resumable' => undef });

    Exam::load_exam('44', students => { S001 => {} });

    my $path = started($c, 0, 'hello');
    my $wire = Exam::Wire->new($server);

    $wire->head('PATCH', $path, $c->fields('Upload-Offset' => 5,
        'Upload-Complete' => '?1', 'Content-Length' => 6,
        'Content-Type' => 'application/partial-upload',
        Expect => '100-continue'));
    is $wire->response(interim => 1)->{status}, 100, 'it is allowed';

    Exam::load_exam('44', state => 'archived', students => { S001 => {} });
    ok archived($c), 'the exam is archived';

    $wire->send(' world');
    my $res = $wire->response;
    is $res->{status}, 403, 'refused at its end';
    is ready($path), '', 'not handed over';

    my %ids = map { started(candidate(), 0) => 1 } 1 .. 3;
    is scalar(grep { m{/t1-[0-9a-f]{32}\z} } keys %ids), 3,
        'ids of 128 random bits';
};


# The node learns it by the flush of a heartbeat.

sub archived {
    my ($c) = @_;
    my $seq = 0;

    return Exam::wait_for {
        Exam::request('POST', "$url/api/v1/heartbeat",
                      { Authorization => "Bearer $c->{token}" },
                      { seq => $seq++ })->{status} == 403
    } 20;
}


done_testing;
