# From the spool to a committed row, a file with its side-car, a settled
# ledger and an empty doorbell, for everything a candidate may send.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;
use Spool;

stack();

# a backlog of more than two batches, a third of it without a doorbell
my @backlog = map { offer(student => sprintf('B%03d', $_ % 40),
                          n => int($_ / 40), ring => $_ % 3) } 0 .. 599;

start_worker();

my $recordings = Exam::recordings();
my $spool = Exam::spool();


sub stored_file {
    my ($row) = @_;

    return Exam::Process::slurp("$recordings/$row->{path}");
}


# ---- many at once

{
    ok((wait_for { rows("student LIKE 'B%'") == 600 } 30),
       'a backlog, a third of it without a doorbell, is committed');
    ok((wait_for { !files("$spool/work") && !redis('XLEN', bell()) }),
       'nothing is left');
    is(redis('HGET', 'exam:{30}:stored', "B007:$backlog[7]{session}:screen"),
       14, 'stored has advanced to the last number');
    is(scalar(grep { -s "$recordings/30/$_->{student}/$_->{session}-screen-"
                        . "$_->{n}-$_->{id}.webm" } @backlog), 600,
       'all files are there');
    ok((wait_for { (figures()->{stored_total} // 0) == 600 }),
       'the figures count what was stored');
    is(figures()->{failed_total}, 0, 'and no failure');
    is(figures()->{state}, 'running', 'the state');
    is(figures()->{ready}, 0, 'nothing in ready/');
    is(figures()->{mysql_state}, 'up', 'and mysql');
    cmp_ok(redis('TTL', 'exam:worker:t1'), '<=', 15, 'for 15 seconds');
    cmp_ok(redis('TTL', 'exam:worker:t1'), '>', 0, 'at most');
}


# ---- a recording with picture and sound

{
    my $data = media('webm', audio => 1);
    my $m = offer(data => $data, n => 0, started_at => 1700000000000,
                  duration_ms => 2000, content_type => 'video/webm;codecs=vp8');

    ok(settled($m), 'a recording is committed, settled and acknowledged');

    my $row = row($m);

    is($row->{sha256}, sha256_hex($data), 'the row has its hash');
    is($row->{bytes}, length $data, 'and its size');
    is($row->{container}, 'webm', 'container');
    is($row->{video_codec}, 'vp8', 'video codec');
    is($row->{audio_codec}, 'opus', 'audio codec');
    is("$row->{width}x$row->{height}", '160x120', 'resolution');
    cmp_ok(abs($row->{media_ms} - 2000), '<', 150, 'length')
        or diag $row->{media_ms};
    is($row->{playable}, 1, 'playable');
    is($row->{reason}, undef, 'without a reason');
    is($row->{variant}, 0, 'variant 0');
    is($row->{started_at}, 1700000000000, 'started_at');
    is($row->{duration_ms}, 2000, 'duration_ms');
    is($row->{node}, 't1', 'node');
    is($row->{store}, 'local', 'store');
    is($row->{content_type}, 'video/webm;codecs=vp8', 'content type');
    is($row->{path}, "30/S001/$m->{session}-screen-0-$m->{id}.webm", 'path');
    cmp_ok($row->{stored_at}, '>=', $m->{received_at}, 'stored_at');

    is(sha256_hex(stored_file($row)), $m->{sha256}, 'the file is the upload');

    my $side = json(Exam::Process::slurp("$recordings/$row->{path}.json"));
    is($side->{id}, $m->{id}, 'side-car: id');
    is($side->{sha256}, $m->{sha256}, 'side-car: hash');
    is($side->{path}, $row->{path}, 'side-car: path');
    is($side->{video_codec}, 'vp8', 'side-car: codec');
    is($side->{playable}, 1, 'side-car: playable');
    is($side->{stored_at}, $row->{stored_at}, 'side-car: stored_at');

    is_deeply([files("$spool/ready")], [], 'ready/ is empty');
    is_deeply([files("$spool/work")], [], 'work/ is empty');

    is_deeply([ledger($m)], ['stored', 't1', $m->{id}, length $data,
                             $m->{sha256}], 'the ledger names the upload');
}


# ---- as MediaRecorder writes it: no duration in the header

{
    my $data = media('webm', header => 0, seconds => 3);
    my $m = offer(data => $data, n => 1);

    ok(settled($m), 'a recording without a duration');

    my $row = row($m);

    is($row->{playable}, 1, 'is playable');
    cmp_ok(abs($row->{media_ms} - 3000), '<', 150, 'its length was measured')
        or diag $row->{media_ms};
    is($row->{audio_codec}, undef, 'no audio codec without sound');
}


# ---- other containers

{
    my $m = offer(data => media('mp4', audio => 1), n => 2,
                  content_type => 'video/mp4');
    my $k = offer(data => media('matroska'), n => 3,
                  content_type => 'video/x-matroska');

    ok(settled($m), 'mp4');
    is(row($m)->{container}, 'mp4', 'its container');
    is(row($m)->{video_codec}, 'mpeg4', 'its codec');
    is(row($m)->{audio_codec}, 'aac', 'its audio codec');
    cmp_ok(abs(row($m)->{media_ms} - 2000), '<', 150, 'its length');
    like(row($m)->{path}, qr/\.mp4\z/, 'its name');

    ok(settled($k), 'matroska');
    is(row($k)->{container}, 'matroska', 'its container');
    like(row($k)->{path}, qr/\.mkv\z/, 'its name');
}


# ---- what has the right size and hash is stored, always

{
    my $m = offer(data => "this is no video\n" x 100, n => 4);

    ok(settled($m), 'not a video');
    is(row($m)->{playable}, 0, 'is stored as not playable');
    is(row($m)->{reason}, 'unknown_container', 'with a reason');
    is(row($m)->{media_ms}, undef, 'and without a length');
    is(sha256_hex(stored_file(row($m))), $m->{sha256}, 'unchanged');

    my $whole = media('webm');
    my $cut = substr $whole, 0, index $whole, "\x1f\x43\xb6\x75";
    my $c = offer(data => $cut, n => 5);

    ok(settled($c), 'a header without a cluster');
    is(row($c)->{playable}, 0, 'is not playable');
    ok(row($c)->{reason}, 'with a reason');

    my $half = media('webm', seconds => 4, header => 0);
    my $h = offer(data => substr($half, 0, length($half) / 2), n => 6);

    ok(settled($h), 'half a recording');
    is(row($h)->{playable}, 1, 'is playable');
    cmp_ok(row($h)->{media_ms}, '<', 3900, 'as long as what is there');

    my $audio = offer(n => 7, data => do {
        my $file = Exam::dir() . '/a.webm';
        system(qw(ffmpeg -nostdin -v error -f lavfi -i sine=duration=1
                  -c:a libopus -f webm -y), $file) == 0 or die;
        Exam::Process::slurp($file);
    });

    ok(settled($audio), 'sound alone');
    is(row($audio)->{playable}, 0, 'is not playable');
    is(row($audio)->{reason}, 'no_video', 'says why');
    is(row($audio)->{audio_codec}, 'opus', 'and what it is');
}


# ---- attachments

{
    my $m = offer(data => '', kind => 'file', n => 0,
                  content_type => 'text/plain');

    ok(settled($m), 'an attachment of no bytes');
    is(row($m)->{bytes}, 0, 'has its row');
    is(row($m)->{playable}, undef, 'and is not probed');
    is(stored_file(row($m)), '', 'and its file');
    like(row($m)->{path}, qr/\.bin\z/, 'with a harmless name');

    my $u = offer(data => 'x', kind => 'file', n => 1, content_type => '');

    ok(settled($u), 'an attachment without a type');
    is(row($u)->{content_type}, '', 'has none in its row');
}


# ---- what was uploaded by tus: its manifest has more members

{
    my $metadata = 'a"b\\,kind c2NyZWVu,x ' . 'QUFB' x 1000;
    my $m = offer(n => 700, protocol => 'tus', metadata => $metadata,
                  created_at => Exam::now_ms(), checked => JSON::PP::true,
                  expected_sha256 => '0' x 64);

    ok(settled($m), 'an upload with 4 KB of metadata');

    my $sidecar = JSON::PP->new->decode(
        Exam::Process::slurp("$recordings/" . row($m)->{path} . '.json'));

    is($sidecar->{metadata}, $metadata, 'keeps them in its side-car');
    is($sidecar->{path}, row($m)->{path}, 'which is whole');

    my $type = 'application/vnd.ms-excel;name="' . 'x' x 90 . '"';
    my $u = offer(data => 'x', kind => 'file', n => 2, content_type => $type,
                  protocol => 'ietf');

    ok(settled($u), 'an attachment of any type');
    is(row($u)->{content_type}, $type, 'has that type in its row');
}


my $stopped = stop_worker();
is($stopped, 0, 'the worker leaves in order');
unlike(worker_log(), qr/ (?:error|alert) /, 'and has no error in its log')
    or diag worker_log();

done_testing();
