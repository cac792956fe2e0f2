# Uploads that nobody goes on with: expired when looked at and by the sweep, a
# tombstone for a while; and the disk that fails while one goes on.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Time::Piece ();

use Exam;
use Exam::Trace;
use Exam::Tus;

my $spool = Exam::spool();
my $body = 'x' x 700_000;
my $n = 0;
my ($server, $tus, $worker);

Exam::load_exam('30', students => { map { $_ => {} } 'S001' .. 'S009' });
Exam::allow_errors(qr/exam \w+\(\) for upload "t1-\w+" failed/,
                   qr/exam \w+\(\) of "part/,
                   qr/exam \w+\(\) in the journal failed/,
                   qr/exam spool is full, the journal's reserve is in use/);


sub start {
    my (%lines) = @_;

    $server->stop('QUIT') if $server;
    $server = Exam::server(workers => 1,
        main => 'thread_pool one threads=1;',
        http => Exam::http_lines(exam_thread_pool => 'one',
                                 exam_kind_uploads => 4, %lines));
    $tus = Exam::Tus->new($server);
    eventually(sub { ($worker) = $server->workers; return $worker });
    return;
}

sub create {
    my ($length) = @_;

    my %meta = (kind => 'screen', n => $n++, filetype => 'video/webm');

    return $tus->create($length, 'Upload-Metadata' => join ',',
        map { "$_ " . encode_base64($meta{$_}, '') } sort keys %meta);
}

sub file {
    my ($url, $suffix) = @_;

    my ($id) = $url =~ m{([^/]+)\z};
    my ($two) = $id =~ /-(..)/;

    return "$spool/part/$two/$id$suffix";
}

sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 20;
}

sub age {
    my ($seconds, @files) = @_;

    utime time - $seconds, time - $seconds, @files;
    return;
}


# ---- the part or the manifest: the later one counts

start(exam_upload_expire => '1h', exam_late_upload => '2h');

my ($old, $part, $info) = map {
    my $url = create(700_000);
    $tus->patch($url, 0, 'hello');
    $tus->delete($url) if $_ == 3;
    $url;
} 1 .. 3;

age(3700, file($old, '.part'), file($old, '.info'));
age(3700, file($part, '.info'));

is $tus->offset($part), 5, 'a manifest that is old, a part that is not';
is $tus->head($old)->{status}, 410, 'both: expired';
ok !-e file($old, '.part') && !-e file($old, '.info')
   && -e file($old, '.gone'), 'a tombstone stays';
is $tus->patch($old, 5, 'more')->{status}, 410, 'for who would go on';
is(Exam::Tus->new($server, student => 'S002')->head($old)->{status}, 404,
   'and for nobody else');
is $tus->head($info)->{status}, 410, 'one that was deleted: the same';

my $again = create(700_000);
is $tus->offset($again), 0, 'another one begins';
$tus->delete($again);


# ---- what is told of it, is kept: by the date and, of the draft, by the age

{
    my $url = create(700_000);
    my $when = sub {
        return Time::Piece->strptime($_[0]{headers}{'upload-expires'},
                                     '%a, %d %b %Y %H:%M:%S GMT')->epoch;
    };
    my $left = sub {
        my $res = $tus->req('HEAD', $url, { 'Tus-Resumable' => undef,
            'Upload-Draft-Interop-Version' => 8 });
        return ($res->{headers}{'upload-limit'} // '') =~ /max-age=(\d+)/
               ? $1 : -1;
    };

    age(1800, file($url, '.part'), file($url, '.info'));

    my $at = (stat file($url, '.info'))[9];

    is $when->($tus->head($url)), $at + 3600, 'a HEAD tells when it will expire, and puts'
        . ' nothing off';
    cmp_ok $left->(), '<=', 1800, 'nor one of the draft';
    cmp_ok $left->(), '>', 1700, '... which tells what is left';

    my $expires = $when->($tus->patch($url, 0, 'hello'));

    cmp_ok $expires, '>', $at + 3600, 'bytes put it off';
    cmp_ok $expires, '<=', (stat file($url, '.info'))[9] + 3600,
        'to what the sweep goes by';
    $tus->delete($url);
}


# ---- the sweep: of those nobody asks for, and of old tombstones

my $swept = create(700_000);

age(3700, file($swept, '.part'), file($swept, '.info'));
age(7300, file($old, '.gone'));
Exam::spew(file($part, '.tmp'), '{"version":1,');

start(exam_upload_expire => '1h', exam_late_upload => '2h');

ok eventually(sub { -e file($swept, '.gone') && !-e file($swept, '.part') }),
    'expired by the sweep';
ok eventually(sub { !-e file($old, '.gone') }), 'an old tombstone goes';
ok -e file($info, '.gone'), 'a young one stays';
is $tus->head($old)->{status}, 404, 'then nothing is known of it';
is $tus->offset($part), 5, 'what is not old is left alone';
ok eventually(sub {
    return Exam::slurp($server->{error_log}) =~ /1 uploads expired/;
}), 'the log tells';
$tus->delete($part);


# ---- expires while somebody is at it: not

start(exam_upload_expire => '1h');

my $url = create(1_000_000);
my $c = Exam::Wire->new($server);

$c->head(PATCH => $url, $tus->fields('Upload-Offset' => 0,
    'Content-Type' => 'application/offset+octet-stream',
    'Content-Length' => 1_000_000));
$c->send($body);
eventually(sub { -s file($url, '.part') });
age(3700, file($url, '.part'), file($url, '.info'));
$server->reload;
$c->send('x' x 300_000);
is $c->response->{status}, 204, 'one that is being received does not expire';
eventually(sub { ($worker) = $server->workers; return $worker });


# ---- where nothing expires, nothing is told of it

start(exam_upload_expire => '0');

{
    my $url = create(700_000);
    my $res = $tus->head($url);

    is $res->{status}, 200, 'exam_upload_expire 0';
    is $res->{headers}{'upload-expires'}, undef, 'no time is told';

    $res = $tus->req('HEAD', $url, { 'Tus-Resumable' => undef,
                                     'Upload-Draft-Interop-Version' => 8 });
    is $res->{headers}{'upload-limit'} =~ s/max-size=\d+/max-size=N/r,
        'min-size=0, max-size=N', 'no age either';
    $tus->delete($url);
}

start(exam_upload_expire => '1h');


# ---- a disk that fails: the prefix, the answer, and that it goes on

for (['pwrite64', 'ENOSPC', 507, 'disk_full'],
     ['pwrite64', 'EDQUOT', 507, 'disk_full'],
     ['pwrite64', 'EIO', 500, 'internal'],
     ['fdatasync', 'EIO', 500, 'internal'],
     ['fallocate', 'ENOSPC', 507, 'disk_full'])
{
    my ($call, $errno, $status, $code) = @$_;
    my $what = "$call $errno";
    my $res;

    $url = create(1_400_000);
    $tus->patch($url, 0, $body);

    my @lines = traced($worker, ['-e', "trace=$call", '-e',
                                 "inject=$call:error=$errno"], sub {
        $res = $tus->patch($url, 700_000, 'y' x 600_000);
    });

    SKIP: {
        skip 'processes cannot be traced here', 6 unless @lines;

        my $json = eval { JSON::PP::decode_json($res->{body}) } // {};

        is $res->{status}, $status, "$what: $status";
        is $json->{code}, $code, "$what: $code";
        is $res->{headers}{'upload-offset'}, $status == 507 ? 700_000 : undef,
            "$what: a full disk tells the offset";
        is $tus->offset($url), 700_000, "$what: what was told is kept";
        is $tus->patch($url, 700_000, $body)->{status}, 204,
            "$what: it goes on";

        my ($id) = $url =~ m{([^/]+)\z};
        ok Exam::slurp("$spool/ready/$id.rec") eq $body x 2,
            "$what: with all its bytes";
    }
}

# a creation that fails leaves nothing

SKIP: {
    my ($res, $before);

    $before = () = glob "$spool/part/*/*";

    my @lines = traced($worker, ['-e', 'trace=fdatasync', '-e',
                                 'inject=fdatasync:error=ENOSPC'], sub {
        $res = $tus->post({ 'Upload-Length' => 5 });
    });

    skip 'processes cannot be traced here', 2 unless @lines;

    is $res->{status}, 507, 'no room for a manifest: no creation';
    ok eventually(sub { $before == (() = glob "$spool/part/*/*") }),
        'and nothing of it stays';
}

done_testing();
