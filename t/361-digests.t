# Digests of RFC 9530, offsets that last, one writer at a time, creation that
# can be repeated: for uploads of both protocols.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha256_hex);

use Exam;
use Exam::Api qw(problem);
use Exam::Tus qw(candidates ready manifest);
use Exam::Wire;

my $server = Exam::server(workers => 2, http => Exam::http_lines(
    exam_max_bytes => '16m', exam_segment_window => '1000',
    exam_kind_uploads => '4'));
Exam::allow_errors(qr/worker process \d+ exited on signal 9/);

my $type = 'application/offset+octet-stream';
my $data = join '', map { sha256($_) } 1 .. 32768;      # 1 MB

Exam::load_exam('30', students => { map { sprintf('S%03d', $_) => {} }
                                    1 .. 99 });

*candidate = candidates($server);

sub draft {
    return candidate(fields => { 'Tus-Resumable' => undef,
                                 'Upload-Draft-Interop-Version' => 8 });
}

sub append {
    my ($c, $path, $offset, $complete, $body, %fields) = @_;

    return $c->patch($path, $offset, $body, 'Upload-Complete' => $complete,
                     'Content-Type' => 'application/partial-upload', %fields);
}

sub segment {
    my ($n) = @_;

    return ('Upload-Metadata' => Exam::Tus::metadata(
        kind => 'screen', n => $n, filetype => 'video/webm'));
}

# A request whose body stops after some bytes; the server has taken them.

sub hanging {
    my ($tus, $path, $offset, $body, $length, %fields) = @_;

    my $wire = Exam::Wire->new($server);

    $wire->head('PATCH', $path, $tus->fields('Upload-Offset' => $offset,
        'Content-Type' => $type, 'Content-Length' => $length,
        Expect => '100-continue', %fields));
    is $wire->response(interim => 1)->{status}, 100, 'a body is asked for';
    $wire->send($body);

    return $wire;
}


subtest 'D01: a digest has its form; unknown algorithms are passed over'
    => sub {
    my $tus = candidate();

    for my $field (qw(Content-Digest Repr-Digest)) {
        for my $bad ('sha-256', 'sha-256=abc', 'sha-256=:abc:', '=', ';',
                     'sha-256=:' . 'A' x 44 . ':', 'sha-256=:x', 'md5=:x')
        {
            my $res = $tus->post({ 'Upload-Length' => 5, $field => $bad });

            is $res->{status}, 400, "$field: $bad";
            is $res->{code}, 'bad_digest', 'the code';
        }

        my $path = $tus->create(5, $field => 'md5=:aaaa:, sha-512=:YQ==:');
        is $tus->patch($path, 0, 'hello', $field => 'unixsum=:YQ==:')
            ->{status}, 204, "$field: of unknown algorithms";
    }
};


subtest 'D02: a wrong digest of a part stores nothing, of the whole ends it'
    => sub {
    my $tus = candidate();
    my $path = $tus->create(11);

    my $res = $tus->patch($path, 0, 'hello',
                          'Content-Digest' => Exam::Tus::digest('hellO'));
    is $res->{status}, 422, 'a part';
    is $res->{code}, 'digest_mismatch', 'a part: the code';
    is $tus->offset($path), 0, 'a part: nothing is stored';

    is $tus->patch($path, 0, 'hello', 'Content-Digest' =>
                   Exam::Tus::digest('hello'))->{status}, 204, 'the right one';

    $res = $tus->patch($path, 5, ' world',
                       'Repr-Digest' => Exam::Tus::digest('hello World'));
    is $res->{status}, 422, 'the whole';
    is $res->{code}, 'digest_mismatch', 'the whole: the code';
    is ready($path), '', 'the whole: not handed over';
    is $tus->head($path)->{status}, 410, 'the whole: of no use any more';

    $path = $tus->create(5, 'Repr-Digest' => Exam::Tus::digest('hellO'));
    is $tus->patch($path, 0, 'hello')->{status}, 422, 'told at the creation';

    $path = $tus->create(5, 'Repr-Digest' => Exam::Tus::digest('hello'));
    is $tus->patch($path, 0, 'hello')->{status}, 204, 'the right one';

    my $c = draft();
    $res = $c->post({ 'Upload-Complete' => '?0',
                      'Content-Digest' => Exam::Tus::digest('hello') },
                    'hello');
    is $res->{status}, 201, 'of the draft';
    $path = Exam::Tus::path($res);

    $res = append($c, $path, 5, '?1', ' world',
                  'Content-Digest' => Exam::Tus::digest('x'));
    is $res->{status}, 422, 'of the draft: a part';
    is $c->offset($path), 5, 'of the draft: nothing is stored';
    is append($c, $path, 5, '?1', ' world', 'Content-Digest' =>
              Exam::Tus::digest(' world'))->{status}, 201,
        'of the draft: the right one';
};


subtest 'D03: the digest of the whole is told when it is complete' => sub {
    my $tus = candidate();
    my $path = $tus->create(11, 'Want-Repr-Digest' => 'sha-256=10');

    is $tus->patch($path, 0, 'hello')->{headers}{'repr-digest'}, undef,
        'not before';
    is $tus->patch($path, 5, ' world')->{headers}{'repr-digest'},
        Exam::Tus::digest('hello world'), 'PATCH';
    is $tus->head($path)->{headers}{'repr-digest'},
        Exam::Tus::digest('hello world'), 'HEAD';
};


subtest 'D04: the hash of an upload in parts is that of the whole' => sub {
    my $tus = candidate();
    my $path = $tus->create(length $data);
    my $offset = 0;

    for my $n (1, 4095, 4097, 99_999, 0, 65_536, 500_000) {
        my $wire = $n == 99_999 ? hanging($tus, $path, $offset,
            substr($data, $offset, 60_000), $n) : undef;

        if ($wire) {
            $wire->close;
            $offset = $tus->offset($path);
            next;
        }

        $tus->patch($path, $offset, substr $data, $offset, $n);
        $offset += $n;
    }

    is $tus->patch($path, $offset, substr $data, $offset)->{status}, 204,
        'the rest';
    is manifest($path)->{sha256}, sha256_hex($data), 'the hash';
    ok ready($path) eq $data, 'the content';
};


subtest 'D05: errors are problem+json; a HEAD has no body' => sub {
    my $tus = candidate();
    my $path = $tus->create(5);

    for ([$tus->post({}), 400, 'bad_upload_header'],
         [$tus->post({ 'Upload-Length' => 17 << 20 }), 413, 'too_large'],
         [$tus->patch($path, 3, 'x'), 409, 'offset_mismatch'],
         [$tus->patch("$path", 0, 'x', 'Content-Type' => 'x/y'), 415,
          'unsupported_type'],
         [$tus->patch($path, 0, 'x', 'Upload-Checksum' => 'sha1 YQ=='), 460,
          'checksum_mismatch'],
         [$tus->req('PUT', $path), 405, 'method_not_allowed'],
         [$tus->delete("$Exam::Tus::Path/x"), 404, 'upload_not_found'])
    {
        my ($res, $status, $code) = @$_;

        $res->{content} = $res->{body};
        is problem($res, $status, $code), '', "$status $code";
    }

    my $res = $tus->head("$Exam::Tus::Path/x");
    is $res->{status}, 404, 'HEAD';
    is $res->{body}, '', 'no body';
};


subtest 'R10: an offset that was told never decreases, whoever dies' => sub {
    my $tus = candidate();
    my $path = $tus->create(length $data);
    my $told = 0;

    for my $round (1 .. 4) {
        my $wire = hanging($tus, $path, $told,
            substr($data, $told, 150_000), length($data) - $told);
        my $offset = $tus->offset($path);

        cmp_ok $offset, '>=', $told, "round $round: not less";
        $told = $offset;

        my %old = map { $_ => 1 } $server->workers;
        kill 'KILL', keys %old;

        ok started(%old), "round $round: other processes";
        is $tus->offset($path), $told, "round $round: as it was told";
    }

    is $tus->patch($path, $told, substr $data, $told)->{status}, 204,
        'the rest';
    ok ready($path) eq $data, 'the content';
};


sub started {
    my (%old) = @_;

    return Exam::wait_for {
        my @now = $server->workers;
        @now == 2 && !grep { $old{$_} } @now;
    } 20;
}


subtest 'R12: who comes next takes over; the former gets no 2xx' => sub {
    for my $method (qw(HEAD PATCH DELETE)) {
        my $tus = candidate();
        my $path = $tus->create(length $data);
        my $old = hanging($tus, $path, 0, substr($data, 0, 100_000),
                          length $data);

        my $res = $method eq 'DELETE' ? $tus->delete($path)
            : $method eq 'HEAD' ? $tus->head($path)
            : $tus->patch($path, 100_000_000, '');

        is $res->{status}, { HEAD => 200, PATCH => 409, DELETE => 204 }
            ->{$method}, "$method: an answer";
        is $old->response, undef, "$method: the former has none";

        next if $method eq 'DELETE';

        my $offset = $res->{headers}{'upload-offset'};
        cmp_ok $offset, '<=', 100_000, "$method: an offset";
        is $tus->patch($path, $offset, substr $data, $offset)->{status}, 204,
            "$method: which is accepted";
        ok ready($path) eq $data, "$method: the content";
    }
};


subtest 'W2: a hung upload is taken over by any process' => sub {
    my $before = taken_over();

    for my $round (1 .. 6) {
        my $tus = candidate();
        my $path = $tus->create(length $data);
        my $old = hanging($tus, $path, 0, substr($data, 0, 10_000),
                          length $data);
        my $h = $tus->head($path);

        is $h->{status}, 200, "$round: told";
        is $old->response, undef, "$round: the former has no answer";
        is $tus->patch($path, $h->{headers}{'upload-offset'},
            substr $data, $h->{headers}{'upload-offset'})->{status}, 204,
            "$round: the rest";
        is manifest($path)->{sha256}, sha256_hex($data), "$round: the hash";
    }

    is taken_over() - $before, 6, 'each is counted';
};


sub taken_over {
    return Exam::request('GET', $server->url . '/metrics')->{content}
        =~ /^exam_uploads_taken_over_total (\d+)$/m ? $1 : -1;
}


subtest 'W6: a creation that is repeated gets the same upload' => sub {
    my $tus = candidate();
    my %create = ('Upload-Length' => 11, segment(0));

    my $path = Exam::Tus::path($tus->post({ %create }));
    $tus->patch($path, 0, 'hello');

    for (1 .. 4) {
        my $res = $tus->post({ %create });

        is $res->{status}, 201, 'again';
        is Exam::Tus::path($res), $path, 'the same';
        is $res->{headers}{'upload-offset'}, 5, 'as it stands';
    }

    my $other = Exam::Tus::path($tus->post({ 'Upload-Length' => 4,
                                             segment(0) }));
    isnt $other, $path, 'with another length another one';
    is $tus->head($path)->{status}, 410, 'the former is gone';
    is $tus->patch($other, 0, 'abcd')->{status}, 204, 'the new one is taken';

    my $res = $tus->post({ %create });
    is $res->{status}, 409, 'complete';
    is $res->{code}, 'segment_conflict', 'the code';

    is $tus->post({ 'Upload-Length' => 11, segment(1) })->{status}, 201,
        'another number';
};


subtest 'W10: an upload of one protocol goes on in the other' => sub {
    my $tus = candidate();
    my $draft = Exam::Tus->new($server, token => undef, fields => {
        Authorization => "Bearer $tus->{token}", 'Tus-Resumable' => undef,
        'Upload-Draft-Interop-Version' => 8 });

    my $path = $tus->create(11);
    $tus->patch($path, 0, 'hello');

    my $h = $draft->head($path)->{headers};
    is $h->{'upload-offset'}, 5, 'the draft knows the offset';
    is append($draft, $path, 5, '?1', ' world')->{status}, 201, 'and goes on';
    is ready($path), 'hello world', 'the content';
    is $tus->offset($path), 11, 'tus knows that it is complete';
};


subtest 'P9: two uploads of a number: the same content is one' => sub {
    my $tus = candidate();
    my $path = $tus->create(5, segment(0));

    my $put = sub {
        return Exam::request('PUT', $server->url . '/api/v1/recordings/screen/'
            . $_[0], { Authorization => "Bearer $tus->{token}",
                       'Content-Type' => 'video/webm' }, $_[1])->{status};
    };

    is $put->(0, 'hello'), 201, 'a PUT meanwhile';
    is $tus->patch($path, 0, 'hello')->{status}, 204, 'the same content';
    is ready($path), '', 'is not handed over twice';
    is $tus->offset($path), 5, 'but is complete';

    $path = $tus->create(5, segment(1));
    is $put->(1, 'other'), 201, 'a PUT meanwhile';

    my $res = $tus->patch($path, 0, 'hello');
    is $res->{status}, 409, 'other content';
    is $res->{code}, 'segment_conflict', 'the code';
    is $tus->head($path)->{status}, 410, 'the upload is of no use';
};


done_testing;
