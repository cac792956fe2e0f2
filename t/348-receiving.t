# What zone and ledger know of an incomplete resumable upload: the number is
# being received, until it is, or the upload has gone; who came first stands.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256);
use MIME::Base64 qw(encode_base64);

use Exam;
use Exam::Api qw(is_problem);
use Exam::Command qw(node_at);
use Exam::Tus;

my $one = node_at('n1', workers => 2, exam_kind_uploads => '2',
                  exam_file_uploads => '2');
my $two = node_at('n2', workers => 2);

Exam::load_exam('30', students => { map { $_ => {} } 'S001' .. 'S006' });

my %tus;

sub tus {
    my ($student, $api) = @_;

    $api //= $one;
    return $tus{"$student $api"}
        //= Exam::Tus->new($api->nginx, student => $student);
}

sub meta {
    my %meta = @_;

    return ('Upload-Metadata' => join ',',
            map { "$_ " . encode_base64($meta{$_}, '') } sort keys %meta);
}

sub segment {
    my ($n) = @_;
    return meta(kind => 'screen', n => $n, filetype => 'video/webm');
}

sub id { return $_[0] =~ m{([^/]+)\z} ? $1 : '' }

sub ledger {
    my ($student, $kind, $n) = @_;

    return Exam::redis_cmd('HGET', "exam:{30}:seg:$student",
                           Exam::sid('30', $student) . ":$kind:$n") // 'none';
}

sub look {
    my ($student, $n, $api) = @_;

    return ($api // $one)->get("/api/v1/recordings/screen/$n",
                               tus($student)->{token})->{json};
}

sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 20;
}


# ---- begun

my $tus = tus('S001');
my $url = $tus->create(10, segment(0));
my $id = id($url);

is(ledger('S001', 'screen', 0), "receiving n1 $id 10 -", 'the ledger');
is_deeply({ %{ look('S001', 0) } },
          { id => $id, state => 'receiving', bytes => 10, offset => undef,
            sha256 => undef, reason => undef }, 'GET');
is(look('S001', 0, $two)->{id}, $id, 'on another node');
is_deeply($one->me($tus->{token})->{json}{sessions}[0]{segments}{screen}
              {receiving}, [[0, 0]], '/me');


# ---- whoever comes second is told of it

# what a node says of itself is there a moment after it
ok(eventually(sub { Exam::redis_cmd('EXISTS', 'exam:node:n1') }),
   'the first node says that it is there');

is(id($tus->create(10, segment(0))), $id, 'the same again');
is(id(tus('S001', $two)->create(10, segment(0))), $id,
   'the same again on another node');
is(ledger('S001', 'screen', 0), "receiving n1 $id 10 -",
   'which leaves the ledger as it is');

my $res = tus('S001', $two)->post({ 'Upload-Length' => 11, segment(0) });
is_problem($res, 409, 'segment_conflict',
           'with another length there: it cannot be discarded from afar');
is(id(tus('S001', $two)->create(10, segment(0))), $id,
   'and it has kept no place there');

$res = $tus->post({ 'Upload-Length' => 11, segment(0) });
is($res->{status}, 201, 'with another length here');

my $next = id(Exam::Tus::path($res));

isnt($next, $id, 'another upload');
ok(eventually(sub { ledger('S001', 'screen', 0) eq "receiving n1 $next 11 -" }),
   'which stands in the ledger');
is($tus->head($url)->{status}, 410, 'the first one has gone');
$url = Exam::Tus::path($res);


# ---- deleted, completed

my $other = $tus->create(5, segment(1));
is($tus->req('DELETE', $other)->{status}, 204, 'one is deleted');
ok(eventually(sub { ledger('S001', 'screen', 1) eq 'none' }),
   'the ledger knows nothing of it');
is($one->get('/api/v1/recordings/screen/1', $tus->{token})->{status}, 404,
   'GET');

is($tus->patch($url, 0, 'hello world')->{status}, 204, 'one is completed');
ok(eventually(sub { ledger('S001', 'screen', 0) =~ /^received n1 $next 11 / }),
   'the ledger');
is_problem($tus->post({ 'Upload-Length' => 11, segment(0) }), 409,
           'segment_conflict', 'no other one may begin');


# ---- of a node that has gone

{
    my $mine = tus('S006', $two);
    my $gone = 'n9-' . 'b' x 32;
    my @entry = ('exam:{30}:seg:S006', Exam::sid('30', 'S006') . ':screen:0');

    Exam::redis_cmd('HSET', @entry, "receiving n9 $gone 10 -");
    Exam::redis_cmd('HSET', 'exam:node:n9', 'now', 1);

    is(id($mine->create(10, segment(0))), $gone,
       'its node is there: it can be found there');

    Exam::redis_cmd('DEL', 'exam:node:n9');

    my $url = $mine->create(10, segment(0));

    like(id($url), qr/^n2-/, 'its node has gone: the number is free again');
    is($mine->patch($url, 0, 'x' x 10)->{status}, 204, 'and can be uploaded');

    my @other = ($entry[0], $entry[1] =~ s/0$/1/r);

    Exam::redis_cmd('HSET', @other, "receiving n9 $gone 10 -");
    like(id($mine->create(11, segment(1))), qr/^n2-/,
         'with another length, too');
}


# ---- a PUT that is quicker

$tus = tus('S002');
$url = $tus->create(5, segment(0));

is($one->req('PUT', '/api/v1/recordings/screen/0',
             { Authorization => "Bearer $tus->{token}",
               'Content-Type' => 'video/webm' }, 'quick')->{status}, 201,
   'a PUT of a number that is being received');
is_problem($tus->patch($url, 0, 'other'), 409, 'segment_conflict',
           'the upload with another content');

# ---- wanted again, begun, deleted

my $sid = Exam::sid('30', 'S003');
$id = 't9-' . 'a' x 32;
Exam::redis_cmd('HSET', 'exam:{30}:seg:S003', "$sid:screen:0",
                "refused t9 $id - - wrong_size");
$tus = tus('S003');
$url = $tus->create(5, segment(0));
like(ledger('S003', 'screen', 0), qr/^receiving n1 /,
     'a refused number is received again');
is($tus->req('DELETE', $url)->{status}, 204, 'and deleted');
ok(eventually(sub { ledger('S003', 'screen', 0) =~ /^refused / }),
   'it is still wanted');
is(Exam::redis_cmd('HGET', 'exam:{30}:stored', "S003:$sid:resend"),
   'screen:0', 'and asked for');


# ---- two of a kind, connected or not

$tus = tus('S004');

my $put = sub {
    my ($n, $body, %fields) = @_;
    return $one->req('PUT', "/api/v1/recordings/screen/$n",
                     { Authorization => "Bearer $tus->{token}",
                       'Content-Type' => 'video/webm', %fields }, $body);
};
my $digest = sub {
    return ('Content-Digest' => 'sha-256=:'
            . encode_base64(sha256($_[0]), '') . ':');
};

is($put->(7, 'whole')->{status}, 201, 'a number that is whole');

my @url = map { $tus->create(5, segment($_)) } 0, 1;

is_problem($tus->post({ 'Upload-Length' => 5, segment(2) }), 503,
           'too_many_uploads', 'a third one of the kind');
is_problem($put->(2, 'x'), 503, 'too_many_uploads', 'by PUT');

is($put->(7, 'whole', $digest->('whole'))->{status}, 200,
   'what is whole needs no place: the same content');
is_problem($put->(7, 'other', $digest->('other')), 409, 'segment_conflict',
           'other content');
is_problem($tus->post({ 'Upload-Length' => 5, segment(7) }), 409,
           'segment_conflict', 'created');
is_problem($put->(7, 'whole'), 503, 'too_many_uploads',
           'without a digest it would have to be received');

$res = $tus->post({ 'Upload-Length' => 5, segment(1) });
is($res->{status}, 201, 'but one that is there');
is(Exam::Tus::path($res), $url[1], 'is told again');

my @file = map { $tus->create(5, meta(filetype => 'text/plain')) } 0, 1;

is_problem($tus->post({ 'Upload-Length' => 5 }), 503, 'too_many_uploads',
           'attachments are a kind of their own');
is($tus->patch($file[0], 0, 'hello')->{status}, 204, 'one is completed');
is($tus->req('DELETE', $url[0])->{status}, 204, 'one is deleted');
ok($tus->create(5, segment(2)), 'their places are free');
ok($tus->create(5, meta(filetype => 'text/plain')), 'both');


# ---- attachments have numbers, and a number that was given twice is none

ok(eventually(sub {
    return join(' ', map { ledger('S004', 'file', $_) =~ /^(\w+)/ } 0 .. 2)
           eq 'received receiving receiving';
}), 'numbers of attachments');

$sid = Exam::sid('30', 'S005');
Exam::redis_cmd('HSET', 'exam:{30}:seg:S005', "$sid:file:0",
                "receiving n2 n2-" . 'b' x 32 . ' 5 -');
$tus = tus('S005');
$url = $tus->create(5, meta(filetype => 'text/plain'));
$id = id($url);
is(ledger('S005', 'file', 1), "receiving n1 $id 5 -",
   'one whose number was taken has the next');
is($tus->patch($url, 0, 'hello')->{status}, 204, 'and is completed');
ok(eventually(sub { ledger('S005', 'file', 1) =~ /^received n1 $id / }),
   'under that');


# ---- Redis away

Exam::redis()->stop;

$tus = tus('S006');
$url = $tus->create(5, segment(0));
is(id($tus->create(5, segment(0))), id($url), 'the same again');
is(look('S006', 0)->{state}, 'receiving', 'GET');
is(look('S006', 0)->{id}, id($url), 'its id');
ok($tus->create(5, segment(1)), 'a second one');
is_problem($tus->post({ 'Upload-Length' => 5, segment(2) }), 503,
           'too_many_uploads', 'a third one');
is($tus->patch($url, 0, 'hello')->{status}, 204, 'completed');
is(look('S006', 0)->{state}, 'received', 'GET');
is_problem($tus->post({ 'Upload-Length' => 5, segment(0) }), 409,
           'segment_conflict', 'it is received');

done_testing();
