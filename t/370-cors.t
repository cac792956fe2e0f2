# exam_cors_origin: pages of other origins and the endpoints of candidates.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Tus;

Exam::load_exam('30', students => { S001 => {} });

my $list = 'https://exam.example http://localhost:3000';
my $server = Exam::server(http => Exam::http_lines(exam_cors_origin => $list));

my $tus = Exam::Tus->new($server);
my $page = Exam::Tus->new($server, token => undef,
                          fields => { Origin => 'https://exam.example' });
my %preflight = ('Access-Control-Request-Method' => 'PATCH',
                 'Access-Control-Request-Headers' => 'upload-offset');

my @endpoints = map { "/api/v1/$_" }
    qw(login heartbeat logout events me preflight recordings/screen/0 uploads);


subtest 'T70: a preflight is answered without a token' => sub {
    for my $path (@endpoints) {
        my $res = $page->req('OPTIONS', $path,
                             { %preflight, 'Tus-Resumable' => undef });
        my $h = $res->{headers};

        like $res->{status}, qr/\A20[04]\z/, $path;
        is $h->{'access-control-allow-origin'}, 'https://exam.example',
            'the origin';
        is $h->{vary}, 'Origin', 'Vary';
        is $h->{'access-control-max-age'}, 86400, 'for a day';

        my @methods = split /, */, $h->{'access-control-allow-methods'};
        is join(' ', sort @methods), 'DELETE GET HEAD OPTIONS PATCH POST PUT',
            'the methods';

        my %allowed = map { (lc, 1) }
            split /, */, $h->{'access-control-allow-headers'};

        is join(' ', grep { !$allowed{lc $_} }
            qw(Authorization Origin X-Requested-With X-Request-ID
               X-HTTP-Method-Override Content-Type Upload-Length Upload-Offset
               Tus-Resumable Upload-Metadata Upload-Defer-Length Upload-Concat
               Upload-Incomplete Upload-Complete Upload-Draft-Interop-Version
               Upload-Checksum Content-Digest Repr-Digest)), '', 'the fields';
    }
};


subtest 'T71: an answer tells its fields to the page, errors too' => sub {
    my @answers = (
        $page->req('OPTIONS', $Exam::Tus::Path),
        $page->post({ 'Upload-Length' => 5 }),
        $page->post({ 'Upload-Length' => 5, 'Tus-Resumable' => '2' }),
        $page->req('GET', '/api/v1/nothing'),
        $page->req('GET', '/api/v1/login'),
        $page->req('POST', '/api/v1/heartbeat', {}, '{}'),
        $page->req('GET', '/api/v1/me', { 'Content-Length' => 'x' }),
    );

    is join(' ', map { $_->{status} } @answers), '200 401 412 404 405 401 400',
        'the answers';

    for my $res (@answers) {
        my %exposed = map { (lc, 1) } split /, */,
            $res->{headers}{'access-control-expose-headers'} // '';

        is join(' ', grep { !$exposed{lc $_} }
            qw(Upload-Offset Location Upload-Length Tus-Version Tus-Resumable
               Tus-Max-Size Tus-Extension Upload-Metadata Upload-Defer-Length
               Upload-Concat Upload-Complete Upload-Expires Upload-Limit
               Repr-Digest Link Retry-After)), '', "status $res->{status}";
        is $res->{headers}{'access-control-allow-origin'},
            'https://exam.example', 'the origin';
    }

    my $token = Exam::token(exam => '30', student => 'S001', gen => 1000);

    for (1 .. 2) {
        my $res = $page->req('POST', '/api/v1/heartbeat',
            { Authorization => "Bearer $token",
              'Content-Type' => 'application/json' }, '{"seq":' . $_ . '}');

        is $res->{status}, 200, 'a heartbeat';
        is $res->{headers}{'access-control-allow-origin'},
            'https://exam.example', 'a heartbeat: the origin';
    }
};


subtest 'other origins, and none' => sub {
    for my $origin ('https://exam.example.evil', 'http://exam.example', 'null',
                    'https://exam.example:444', 'https://EXAM.example', '',
                    'http://localhost', undef)
    {
        my $res = $tus->req('OPTIONS', $Exam::Tus::Path,
                            { %preflight, Origin => $origin });
        my $name = $origin // 'none';

        is $res->{status}, 200, "$name: an answer";
        is $res->{headers}{'access-control-allow-origin'}, undef,
            "$name: not allowed";
        is $res->{headers}{vary}, 'Origin', "$name: Vary";
    }

    my $res = $tus->req('OPTIONS', '/api/v1/me');
    is $res->{status}, 405, 'OPTIONS that is no preflight';

    is $page->req('GET', '/status')->{headers}{'access-control-allow-origin'},
        undef, 'not for operators';
    is $page->req('GET', '/health')->{headers}{vary}, undef, 'nor health';
};


subtest 'any origin, and off' => sub {
    my $any = Exam::server(http => Exam::http_lines(exam_cors_origin => '*'));
    my $res = Exam::Tus->new($any)->req('OPTIONS', $Exam::Tus::Path,
        { %preflight, Origin => 'https://x.example' });

    is $res->{headers}{'access-control-allow-origin'}, '*', 'any';
    is $res->{headers}{vary}, undef, 'any: the same for all';

    my $off = Exam::server();
    $res = Exam::Tus->new($off)->req('OPTIONS', '/api/v1/me',
        { %preflight, Origin => 'https://x.example' });

    is $res->{status}, 405, 'off: no preflight';
    is $res->{headers}{'access-control-allow-origin'}, undef, 'off: nothing';
};


done_testing;
