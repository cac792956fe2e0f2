# What a PUT and a form say of themselves beside their bytes: digests of the
# whole, ranges, codings; and what a refusal tells of what would be right.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api qw(is_problem);
use Exam::Command qw(node_at);
use Exam::Tus;
use Exam::Wire;

my $one = node_at('n1', exam_max_bytes => '1m', exam_max_segments => '150',
                  exam_segment_window => '20');
my $path = '/api/v1/recordings';
my $students = 0;

Exam::load_exam('30', students => { map { sprintf('S%03d', $_) => {} }
                                    1 .. 9 });

sub candidate {
    return 'Bearer ' . Exam::token(exam => '30', gen => 1000,
        student => sprintf 'S%03d', ++$students);
}

sub digest { return Exam::Tus::digest($_[0]) }

my $auth = candidate();


# One request whose body is not sent before it is asked for.

sub sent {
    my ($method, $url, $body, %fields) = @_;

    my $c = Exam::Wire->new($one->nginx);

    %fields = (Authorization => $auth, 'Content-Length' => length $body,
               Expect => '100-continue', %fields);
    $c->head($method, $url, [map { $_ => $fields{$_} } sort keys %fields]);

    my $res = $c->response(interim => 1);

    if ($res->{status} == 100) {
        $c->send($body);
        $res = $c->response;
        $res->{asked} = 1;
    }

    # an answer before the body is taken with its own

    elsif (!exists $res->{body}) {
        $c->{in} = "HTTP/1.1 $res->{status}\r\n"
            . join('', map { "$_: $res->{headers}{$_}\r\n" }
                       keys %{ $res->{headers} }) . "\r\n$c->{in}";
        $res = $c->response;
    }

    $res->{content} = $res->{body};
    return $res;
}

sub put {
    my ($n, $body, %fields) = @_;

    return sent('PUT', "$path/screen/$n", $body,
                'Content-Type' => 'video/webm', %fields);
}

sub form_body {
    my ($data, @fields) = @_;

    my $body = '';

    while (my ($name, $value) = splice @fields, 0, 2) {
        $body .= "--b\r\nContent-Disposition: form-data; name=\"$name\"\r\n"
                 . "\r\n$value\r\n";
    }

    return $body . "--b\r\nContent-Disposition: form-data; name=\"file\"; "
        . "filename=\"a\"\r\nContent-Type: video/webm\r\n\r\n$data\r\n"
        . "--b--\r\n";
}

sub form {
    my ($body, %fields) = @_;

    return sent('POST', $path, $body,
                'Content-Type' => 'multipart/form-data; boundary=b', %fields);
}

sub refused {
    my ($res, $status, $code, $name, $detail, $asked) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_problem($res, $status, $code, $name);
    is($res->{asked} // 0, $asked // 0, "$name: "
       . ($asked ? 'by its body' : 'before the body'));
    like($res->{json}{detail}, $detail, "$name: told") if $detail;
    return;
}


subtest 'a range of a segment is none' => sub {
    for my $range ('bytes 0-4/10', 'bytes 0-4/5', 'nonsense') {
        refused(put(0, 'hello', 'Content-Range' => $range), 400,
                'bad_request', "PUT, $range", qr/: Content-Range\b/);
        refused(form(form_body('hello', kind => 'screen', n => 0),
                     'Content-Range' => $range), 400, 'bad_request',
                "a form, $range", qr/: Content-Range\b/);
    }
};


subtest 'a content coding is none of a recording' => sub {
    for my $coding ('gzip', 'br, gzip', 'GZIP', 'x') {
        my $res = put(0, 'hello', 'Content-Encoding' => $coding);

        refused($res, 415, 'unsupported_type', "PUT, $coding",
                qr/: Content-Encoding\b/);
        is($res->{headers}{'accept-encoding'}, 'identity', 'what is taken');

        $res = form(form_body('hello', kind => 'screen', n => 0),
                    'Content-Encoding' => $coding);
        refused($res, 415, 'unsupported_type', "a form, $coding",
                qr/: Content-Encoding\b/);
        is($res->{headers}{'accept-encoding'}, 'identity', 'what is taken');
    }

    is(put(150, 'x', 'Content-Encoding' => 'identity')->{status}, 422,
       'identity is no coding: the number is looked at');
    is(put(0, 'plain', 'Content-Encoding' => 'Identity')->{status}, 201,
       'and taken');
};


subtest 'Repr-Digest is that of a PUT\'s bytes' => sub {
    is(put(1, 'one', 'Repr-Digest' => digest('one'))->{status}, 201, 'right');

    my $res = put(1, 'one', 'Repr-Digest' => digest('one'));
    is($res->{status}, 200, 'the same again');
    is($res->{asked}, undef, 'before its body');
    refused(put(1, 'other', 'Repr-Digest' => digest('other')), 409,
            'segment_conflict', 'another', qr/: screen 1 is received/);

    refused(put(2, 'two', 'Repr-Digest' => digest('three')), 422,
            'digest_mismatch', 'wrong', undef, 1);
    refused(put(2, 'two', 'Repr-Digest' => 'sha-256=abc'), 400, 'bad_digest',
            'malformed', qr/: Repr-Digest/);
    refused(put(2, 'two', 'Content-Digest' => 'sha-256=abc'), 400,
            'bad_digest', 'the other one malformed', qr/: Content-Digest/);

    refused(put(2, 'two', 'Content-Digest' => digest('two'),
                'Repr-Digest' => digest('three')), 422, 'digest_mismatch',
            'two that disagree', qr/: Content-Digest and Repr-Digest/);
    is(put(2, 'two', 'Content-Digest' => digest('two'),
           'Repr-Digest' => digest('two'))->{status}, 201, 'two that agree');
    is(put(3, 'x', 'Repr-Digest' => 'sha-512=:YQ==:')->{status}, 201,
       'of an unknown algorithm');
};


subtest 'Repr-Digest of a form is that of its body, too' => sub {
    my $body = form_body('hello', kind => 'camera', n => 0);

    is(form($body, 'Repr-Digest' => digest($body))->{status}, 201, 'right');
    refused(form($body, 'Repr-Digest' => digest('hello')), 422,
            'digest_mismatch', 'that of the file', undef, 1);
    refused(form($body, 'Repr-Digest' => digest($body),
                 'Content-Digest' => digest('hello')), 422, 'digest_mismatch',
            'two that disagree', qr/: Content-Digest and Repr-Digest/);
};


subtest 'a form of kind file is an attachment' => sub {
    my $n = -1;

    for my $more ([kind => 'file'], [kind => 'file', n => 77],
                  [n => 77, kind => 'file'], [kind => 'screen', kind => 'file'],
                  [])
    {
        my $res = form(form_body('hello', @$more));

        is($res->{status}, 201, "@$more");
        is($res->{json}{kind}, 'file', 'it is one');
        is($res->{json}{n}, ++$n, 'its number is given to it');
    }
};


# ---- what would be right is told, and nothing of what was sent

subtest 'a refusal names the field and what is allowed' => sub {
    my $bad = '%22%3Cscript%3E%5C';

    for (['screen/0?started_at=' . $bad, 400, 'bad_argument',
          'started_at is a whole number from 0 to 9007199254740991'],
         ['screen/0?duration_ms=-1', 400, 'bad_argument',
          'duration_ms is a whole number from 0 to 9007199254740991'],
         ['screen/0?session=' . $bad, 400, 'bad_argument',
          'session is 32 hexadecimal digits'],
         ["$bad/0", 404, 'not_found', 'kind is one of screen, camera'],
         ['file/0', 404, 'not_found', 'kind is one of screen, camera'],
         ["screen/$bad", 404, 'not_found', 'n is a whole number from 0 to '
          . '999999 without leading zeros'],
         ['screen/150', 422, 'segment_number', 'n is below 150'],
         ['screen/140', 422, 'segment_number',
          'n is at most 20 above the highest received one'])
    {
        my ($url, $status, $code, $detail) = @$_;
        my $res = sent('PUT', "$path/$url", 'hello',
                       'Content-Type' => 'video/webm');

        refused($res, $status, $code, $url);
        is($res->{json}{detail}, "$res->{json}{title}: $detail", 'told');
    }

    for my $type ('text/plain"<\\', 'video/avi') {
        refused(put(9, 'x', 'Content-Type' => $type), 415, 'unsupported_type',
                $type, qr{: Content-Type is one of video/webm, video/mp4, video/x-matroska\z});
        my $body = form_body('hello', kind => 'screen', n => 9);

        $body =~ s/(Content-Type: ).*?(\r)/$1$type$2/;
        refused(form($body), 415, 'unsupported_type', "a form, $type",
                qr{: the type of the recording is one of video/webm, video/mp4, video/x-matroska\z}, 1);
    }

    refused(form('{}', 'Content-Type' => 'application/json'), 415,
            'unsupported_type', 'no form',
            qr{: Content-Type is multipart/form-data\z});
    refused(put(9, 'x', 'Content-Length' => 1048577), 413, 'too_large',
            'too large', qr/: at most 1048576 bytes\z/);

    for ([[kind => '"<', n => 0], 404, 'not_found',
          'kind is one of screen, camera, file'],
         [[kind => 'screen', n => '01"'], 404, 'not_found', 'n is a whole '
          . 'number from 0 to 999999 without leading zeros'],
         [[kind => 'screen', n => 0, started_at => 'x"'], 400, 'bad_value',
          'started_at is a whole number from 0 to 9007199254740991'],
         [[kind => 'screen', n => 0, session => 'x"'], 400, 'bad_value',
          'session is 32 hexadecimal digits'],
         [[kind => 'screen'], 400, 'missing_member', 'n'],
         [[kind => 'screen', n => 150], 422, 'segment_number',
          'n is below 150'])
    {
        my ($fields, $status, $code, $detail) = @$_;
        my $res = form(form_body('hello', @$fields));

        refused($res, $status, $code, "a form, @$fields", undef, 1);
        is($res->{json}{detail}, "$res->{json}{title}: $detail", 'told');
    }

    my $res = sent('GET', "$path/screen/0?wait_s=9999", '');
    refused($res, 400, 'bad_argument', 'wait_s',
            qr/: wait_s is a whole number from 0 to \d+\z/);
};

done_testing();
