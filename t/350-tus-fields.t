# tus 1.0.0: what a request's header alone decides, before there is an upload.
# Every refusal comes before the body is asked for.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api qw(problem);
use Exam::Tus;

my $server = Exam::server(http => Exam::http_lines(exam_max_bytes => '1m'));
my $unknown = "$Exam::Tus::Path/t1-" . '0' x 32;

Exam::load_exam('30', students => { map { $_ => {} } 'S001' .. 'S009' });

my $tus = Exam::Tus->new($server);
my $stranger = Exam::Tus->new($server, token => undef);


# Status and code of an answer, the protocol's field on it, and no 100 before.

sub refused {
    my ($res, $status, $code, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return fail("$name: no answer") if !$res;

    $res->{content} = $res->{body};
    is problem($res, $status, $code) || "$status $code", "$status $code",
        $name;
    is $res->{headers}{'tus-resumable'}, '1.0.0', "$name: the field";
    is $res->{continued}, 0, "$name: no 100";
    return;
}


subtest 'T01: every answer carries Tus-Resumable, errors too' => sub {
    for (['POST', $Exam::Tus::Path, {}, 400],
         ['HEAD', $unknown, { 'Tus-Resumable' => '0.2.2' }, 412],
         ['PUT', $unknown, {}, 405],
         ['PATCH', $unknown, {}, 415],
         ['DELETE', "$Exam::Tus::Path/x", {}, 404],
         ['POST', $Exam::Tus::Path, { 'Upload-Length' => 2_000_000 }, 413],
         ['OPTIONS', $Exam::Tus::Path, {}, 200])
    {
        my ($method, $path, $fields, $status) = @$_;
        my $res = $tus->req($method, $path, $fields);

        is $res->{status}, $status, "$method: $status";
        is $res->{headers}{'tus-resumable'}, '1.0.0', "$method: $status has it";
    }

    is $stranger->post({ 'Upload-Length' => 5 })->{headers}{'tus-resumable'},
        '1.0.0', '401 has it';

    # those of nginx itself

    my $wire = Exam::Wire->new($server);
    $wire->send("PATCH $unknown HTTP/1.1\r\nHost: t\r\nHost: t\r\n"
                . "Tus-Resumable: 1.0.0\r\n\r\n");
    my $res = $wire->response;
    is $res->{status}, 400, 'nginx refuses a second Host';
    is $res->{headers}{'tus-resumable'}, '1.0.0', 'its 400 has it';
};


subtest 'T02: another version is 412 with Tus-Version, for each method'
    => sub {
    for my $method (qw(POST HEAD PATCH DELETE)) {
        for my $version (undef, '0.2.2', '1.0.1', '1.0', '', 'x',
                         ['1.0.0', '0.2.2'])
        {
            my $res = $tus->req($method, $method eq 'POST' ? $Exam::Tus::Path
                                                           : $unknown,
                { 'Tus-Resumable' => $version,
                  'Upload-Length' => 5, 'Upload-Offset' => 0 });
            my $name = "$method " . ($version // 'without');

            is $res->{status}, 412, $name;
            is $res->{headers}{'tus-version'}, '1.0.0', "$name: Tus-Version";
        }
    }

    is $stranger->req('HEAD', $unknown, { 'Tus-Resumable' => '2' })->{status},
        412, 'before a token is looked at';
};


subtest 'T03: OPTIONS is 200 and tells the version, whatever the request says'
    => sub {
    for my $path ($Exam::Tus::Path, "$Exam::Tus::Path/", $unknown) {
        for my $version ('1.0.0', '0.2.2', undef) {
            my $res = $stranger->req('OPTIONS', $path,
                                     { 'Tus-Resumable' => $version });

            is $res->{status}, 200, "$path " . ($version // 'without');
            is $res->{headers}{'tus-version'}, '1.0.0', 'the version';
            is $res->{headers}{'tus-resumable'}, '1.0.0', 'Tus-Resumable';
            is $res->{body}, '', 'no body';
        }
    }
};


subtest 'T04: OPTIONS tells what is offered' => sub {
    my $h = $tus->options->{headers};

    is join(' ', sort split /,/, $h->{'tus-extension'}), 'checksum creation '
        . 'creation-defer-length creation-with-upload expiration termination',
        'Tus-Extension';
    is $h->{'tus-max-size'}, 1048576, 'Tus-Max-Size';
    is $h->{'upload-limit'}, 'min-size=0, max-size=1048576, max-age=86400',
        'Upload-Limit';
};


subtest 'T05: Upload-Offset and Upload-Length are numbers, and once' => sub {
    for my $bad ('', '-1', '+5', '1e3', '5 6', '5.0', '0x5', 'five',
                 '9223372036854775808', '99999999999999999999', '5,5', '٥')
    {
        refused($tus->post({ 'Upload-Length' => $bad }), 400,
                'bad_upload_header', "Upload-Length: $bad");
        refused($tus->patch($unknown, $bad, 'x'), 400, 'bad_upload_header',
                "Upload-Offset: $bad");
    }

    refused($tus->post({ 'Upload-Length' => [5, 5] }), 400,
            'bad_upload_header', 'Upload-Length twice');
    refused($tus->patch($unknown, [0, 0], 'x'), 400, 'bad_upload_header',
            'Upload-Offset twice');
    refused($tus->patch($unknown, undef, 'x'), 400, 'bad_upload_header',
            'no Upload-Offset');
};


subtest 'T06: X-HTTP-Method-Override says what a POST is' => sub {
    for (['PATCH', 415, 'unsupported_type'], ['DELETE', 404, 'not_found'],
         ['HEAD', 404, 'not_found'], ['PUT', 405, 'method_not_allowed'],
         ['patch', 405, 'method_not_allowed'])
    {
        my ($method, $status, $code) = @$_;
        my $res = $tus->req('POST', $unknown,
                            { 'X-HTTP-Method-Override' => $method }, '');

        is $res->{status}, $status, $method;
        like $res->{code}, qr/$code/, "$method: with a body";
    }

    is $tus->req('DELETE', $unknown, { 'X-HTTP-Method-Override' => 'PATCH' })
        ->{status}, 415, 'of whatever method the request has';
    is $tus->req($_, $Exam::Tus::Path,
                 { 'X-HTTP-Method-Override' => 'OPTIONS' })->{status}, 200,
        "$_: OPTIONS" for qw(GET POST);
    is $tus->req('OPTIONS', $Exam::Tus::Path,
                 { 'X-HTTP-Method-Override' => 'POST' })->{status}, 200,
        'but OPTIONS, which browsers send by themselves';
};


subtest 'T08: a HEAD of what is not there is 404, without an offset' => sub {
    for my $url ($unknown, "$Exam::Tus::Path/x", "$unknown/", "$unknown/0",
                 "$Exam::Tus::Path/T1-" . '0' x 32,
                 "$Exam::Tus::Path/t1-" . 'A' x 32,
                 "$Exam::Tus::Path/" . '0' x 32,
                 "$Exam::Tus::Path/../uploads/x")
    {
        my $res = $tus->head($url);

        is $res->{status}, 404, $url;
        is $res->{headers}{'upload-offset'}, undef, 'no Upload-Offset';
    }

    is $tus->head("$Exam::Tus::Path-x")->{status}, 404, 'another path';
};


subtest 'T10: a PATCH of another type is 415' => sub {
    for my $type (undef, '', 'application/octet-stream', 'video/webm',
                  'application/offset+octet-streams', 'application/offset',
                  'application/partial-upload')
    {
        refused($tus->patch($unknown, 0, 'x', 'Content-Type' => $type), 415,
                'unsupported_type', $type // 'none');
    }

    for my $type ('application/offset+octet-stream; charset=utf-8',
                  'Application/Offset+Octet-Stream')
    {
        is $tus->patch($unknown, 0, 'x', 'Content-Type' => $type)->{status},
            404, $type;
    }
};


subtest 'T20: a creation tells its length or that it will' => sub {
    refused($tus->post({}), 400, 'bad_upload_header', 'neither');
    refused($tus->post({ 'Upload-Length' => 5, 'Upload-Defer-Length' => 1 }),
            400, 'bad_upload_header', 'both');

    for my $bad ('0', '2', '', 'true', '1.0', '01') {
        refused($tus->post({ 'Upload-Defer-Length' => $bad }), 400,
                'bad_upload_header', "Upload-Defer-Length: $bad");
    }
};


subtest 'T21: more than Tus-Max-Size is 413, before the body' => sub {
    for my $length (1048577, '9223372036854775807') {
        my $res = $tus->post({ 'Upload-Length' => $length });

        refused($res, 413, 'too_large', "length $length");
        is $res->{headers}{'tus-max-size'}, 1048576, 'Tus-Max-Size';
    }

    refused($tus->post({ 'Upload-Length' => 5, 'Content-Length' => 6,
                         'Expect' => '100-continue',
                         'Content-Type' => 'application/offset+octet-stream' },
                       'sixsix'), 413, 'too_large', 'a body over the length');
};


subtest 'T23: Upload-Metadata has its form' => sub {
    for my $bad (',', 'a', 'a b', 'a  YQ==', 'a YQ==,', 'a YQ==,,b YQ==',
                 'a YQ==,a YQ==', 'a YQ=', 'a YQ===', 'a Y?==',
                 "a\x{7f} YQ==", 'n ' . 'YWJj', 'kind ' . 'U2NyZWVu',
                 'started_at LTE=')
    {
        next if $bad eq 'a';            # a key without a value is one

        refused($tus->post({ 'Upload-Length' => 5,
                             'Upload-Metadata' => $bad }),
                400, 'bad_metadata', $bad);
    }

    refused($tus->post({ 'Upload-Length' => 5,
                         'Upload-Metadata' => 'a ' . 'YWJj' x 1024 }),
            431, 'headers_too_large', 'over 4096 bytes');
    refused($tus->post({ 'Upload-Length' => 5,
                         'Upload-Metadata' => ['a YQ==', 'b YQ=='] }),
            400, 'bad_upload_header', 'twice');
    refused($tus->post({ 'Upload-Length' => 5, 'Upload-Metadata' =>
                         Exam::Tus::metadata(kind => 'desk', n => 0) }),
            400, 'bad_metadata', 'a kind that there is not');
    refused($tus->post({ 'Upload-Length' => 5, 'Upload-Metadata' =>
                         Exam::Tus::metadata(kind => 'screen') }),
            400, 'bad_metadata', 'a kind without a number');
};


subtest 'T25: a creation with a body of another type is 415' => sub {
    for my $type (undef, 'application/octet-stream', 'text/plain') {
        refused($tus->post({ 'Upload-Length' => 5, 'Content-Type' => $type,
                             'Content-Length' => 5,
                             'Expect' => '100-continue' }),
                415, 'unsupported_type', $type // 'none');
    }
};


subtest 'T26: what is refused is refused before the body is asked for' => sub {
    my %expect = (Expect => '100-continue', 'Content-Length' => 5);

    refused($stranger->req('POST', $Exam::Tus::Path,
                           { %expect, 'Upload-Length' => 5 }),
            401, 'token_missing', 'status 401');
    refused($tus->req('POST', $Exam::Tus::Path, { %expect }),
            400, 'bad_upload_header', 'status 400');
    refused($tus->req('PATCH', $unknown, { %expect, 'Upload-Offset' => 0,
                      'Content-Type' => 'application/offset+octet-stream' }),
            404, 'upload_not_found', 'status 404');
    refused($tus->req('POST', $Exam::Tus::Path,
                      { %expect, 'Tus-Resumable' => '0' }),
            412, 'bad_version', 'status 412');
    refused($tus->req('POST', $Exam::Tus::Path,
                      { %expect, 'Upload-Length' => 2_000_000,
                        'Content-Type' => 'application/offset+octet-stream' }),
            413, 'too_large', 'status 413');
    refused($tus->req('POST', $Exam::Tus::Path,
                      { %expect, 'Upload-Length' => 5 }),
            415, 'unsupported_type', 'status 415');
};


subtest 'T40: the algorithms of checksums' => sub {
    is $tus->options->{headers}{'tus-checksum-algorithm'},
        'sha1,sha256,crc32c', 'Tus-Checksum-Algorithm';
};


subtest 'T41: an unknown algorithm or broken base64 is 400' => sub {
    for my $bad ('', 'sha1', 'sha1 ', 'md5 YQ==', 'SHA1 YQ==', 'sha1 Y',
                 'sha1 YQ==x', 'sha1  YQ==', 'sha512 YQ==', 'sha1 Y Q==')
    {
        refused($tus->patch($unknown, 0, 'x', 'Upload-Checksum' => $bad), 400,
                'bad_checksum', $bad);
    }
};


subtest 'T42: trailers are not offered' => sub {
    unlike $tus->options->{headers}{'tus-extension'}, qr/trailer/, 'not told';
};


subtest 'T60: concatenation is not offered, and refused' => sub {
    unlike $tus->options->{headers}{'tus-extension'}, qr/concat/, 'not told';

    for my $concat ('partial', "final;$unknown $unknown") {
        refused($tus->post({ 'Upload-Length' => 5,
                             'Upload-Concat' => $concat }),
                400, 'bad_upload_header', $concat);
    }
};


subtest 'D05: detail names what is wrong, and what is right' => sub {
    my $type = 'application/offset+octet-stream';

    for (['post', { 'Upload-Length' => '5x' }, 'Upload-Length is a whole'],
         ['post', { 'Upload-Length' => [5, 5] }, 'Upload-Length stands twice'],
         ['post', {}, 'Upload-Length, or Upload-Defer-Length: 1'],
         ['post', { 'Upload-Defer-Length' => 2 }, 'Upload-Defer-Length is 1'],
         ['post', { 'Upload-Length' => 5, 'Upload-Concat' => 'partial' },
          'Upload-Concat is not offered'],
         ['patch', { 'Upload-Offset' => 'x' }, 'Upload-Offset is a whole'],
         ['patch', { 'Upload-Offset' => undef }, 'Upload-Offset is missing'],
         ['patch', { 'Upload-Offset' => 6, 'Upload-Length' => 5 },
          'Upload-Offset is beyond Upload-Length'],
         ['patch', { 'Content-Type' => 'text/plain' },
          'Content-Type is application/offset\+octet-stream'],
         ['patch', { 'Upload-Checksum' => 'md5 YQ==' },
          'Upload-Checksum is one of sha1,sha256,crc32c and base64'],
         ['patch', { 'Tus-Resumable' => '0.2.2' }, 'Tus-Resumable is 1.0.0'],
         ['patch', { 'Upload-Length' => 2_000_000 }, 'at most 1048576 bytes'],
         ['post', { 'Upload-Length' => 5, 'Upload-Metadata' => 'a ?' },
          'Upload-Metadata is keys with base64'],
         ['post', { 'Upload-Length' => 5, 'Upload-Metadata' => 'kind YSBi' },
          'kind is one of screen, camera, file'],
         ['post', { 'Upload-Length' => 5, 'Upload-Metadata' => 'n MDE=' },
          'n is a whole number'],
         ['post', { 'Upload-Length' => 5, 'Upload-Metadata' =>
          'duration_ms LTE=' }, 'duration_ms is a whole number'],
         ['post', { 'Upload-Length' => 5, 'Upload-Metadata' =>
          Exam::Tus::metadata(kind => 'desk', n => 0) },
          'kind is one of screen, camera, file'],
         ['post', { 'Upload-Length' => 5, 'Upload-Metadata' =>
          Exam::Tus::metadata(kind => 'screen') }, 'n is missing'],
         ['post', { 'Upload-Length' => 5, 'Upload-Metadata' =>
          Exam::Tus::metadata(kind => 'screen', n => 0) },
          'video/webm, video/mp4'],
         ['post', { 'Upload-Length' => 5, 'Upload-Metadata' =>
          'a ' . 'YWJj' x 1024 }, 'Upload-Metadata has at most 4096 bytes'])
    {
        my ($method, $fields, $detail) = @$_;
        my $res = $method eq 'post' ? $tus->post($fields)
            : $tus->req('PATCH', $unknown, { 'Upload-Offset' => 0,
                        'Content-Type' => $type, %$fields }, 'x');

        like $res->{json}{detail}, qr/: $detail|: .*$detail/, $detail;
    }

    my $draft = Exam::Tus->new($server, fields => {
        'Tus-Resumable' => undef, 'Upload-Draft-Interop-Version' => 8 });

    for (['POST', {}, 'Upload-Complete is \?0 or \?1'],
         ['POST', { 'Upload-Complete' => '?0', 'Upload-Length' => '1' . 0 x 15 },
          'at most 999999999999999'],
         ['PATCH', { 'Upload-Complete' => '?0', 'Upload-Offset' => 0 },
          'Content-Type is application/partial-upload'],
         ['PATCH', { 'Upload-Complete' => '?0', 'Content-Type' =>
          'application/partial-upload' }, 'Upload-Offset is missing'])
    {
        my ($method, $fields, $detail) = @$_;
        my $res = $draft->req($method, $method eq 'POST' ? $Exam::Tus::Path
                              : $unknown, $fields, 'x');

        like $res->{json}{detail}, qr/: $detail/, "the draft: $detail";
    }

    is $draft->req('PUT', $unknown, { 'Upload-Complete' => '?0' })
        ->{headers}{allow}, 'OPTIONS, GET, HEAD, PATCH, DELETE',
        'the draft: a GET is as a HEAD';
    is $tus->req('GET', $unknown)->{headers}{allow},
        'OPTIONS, HEAD, PATCH, DELETE', 'tus has none';
};


subtest 'D05: a status has its words, those that nginx has not, too' => sub {
    my %fields = ('Upload-Length' => 5);
    my %of = ('Upload-Metadata' => Exam::Tus::metadata(kind => 'screen',
              n => 900_000, filetype => 'video/webm'));

    is $tus->post({ %fields, %of })->{reason}, 'Unprocessable Content', 'of 422';
    is $tus->post({ %fields, 'Upload-Metadata' => 'a' x 5000 })->{reason},
        'Request Header Fields Too Large', 'of 431, by a field';
    is $tus->post({ %fields, 'Upload-Metadata' => 'a' x 50_000 })->{reason},
        'Request Header Fields Too Large', 'of 431, by all';
};


done_testing;
