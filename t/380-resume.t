# Uploads that go on: what stays of one when its client, its process or the
# machine goes away, and what the client is told about it.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha1 sha256_hex);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);

use Exam;
use Exam::Tus;

my $spool = Exam::spool();
my $n = 0;
my ($server, $tus);

Exam::load_exam('30', students => { map { $_ => {} } 'S001' .. 'S009' });
Exam::allow_errors(qr/worker process \d+ exited on signal 9/,
                   qr/exam size of a part that is short for upload/);


# A server and a student of whom it does not know anything yet.

sub start {
    my (%opt) = @_;

    $server->stop('QUIT') if $server;
    $server = Exam::server(%opt);
    return student();
}

my $student = 'S001';

sub student {
    $n = 0;
    $tus = Exam::Tus->new($server, student => $student++);
    return;
}


sub meta {
    my %meta = (kind => 'screen', n => $n++, filetype => 'video/webm', @_);

    return ('Upload-Metadata' => join ',',
            map { "$_ " . encode_base64($meta{$_}, '') } sort keys %meta);
}

sub create {
    my ($length, %more) = @_;

    return $tus->create($length, meta(), %more);
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


# A PATCH of which only $part has been sent so far, and has arrived.

sub begin {
    my ($url, $offset, $length, $part, %more) = @_;

    my $c = Exam::Wire->new($server);
    my $before = in_flight();

    $c->head(PATCH => $url, $tus->fields(
        'Upload-Offset' => $offset, 'Content-Length' => $length,
        'Content-Type' => 'application/offset+octet-stream', %more));
    $c->send($part);

    eventually(sub { in_flight() - $before >= length $part })
        or diag 'it has not arrived';

    return $c;
}

sub in_flight {
    return Exam::request('GET', "$server->{url}/status")->{json}
           {upload_bytes_in_flight};
}

sub written { return -s file($_[0], '.part') // 0 }


# What the client is told; then the rest is sent, and the whole compared.

sub goes_on {
    my ($url, $body, $least, $most, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $offset = $tus->offset($url) // -1;

    ok $offset >= $least && $offset <= $most, "$name: $least..$most count"
        or diag "it is $offset";

    is $tus->offset($url), $offset, "$name: and again";

    my $res = $tus->patch($url, $offset, substr $body, $offset);

    is $res->{status}, 204, "$name: the rest";

    my ($id) = $url =~ m{([^/]+)\z};
    my $info = eval { JSON::PP::decode_json(
        Exam::slurp("$spool/ready/$id.info")) } // {};

    is $info->{sha256}, sha256_hex($body), "$name: the hash of the whole";
    ok Exam::slurp("$spool/ready/$id.rec") eq $body, "$name: its bytes";
    return;
}


my $body = join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 1 .. 750_000;

start(workers => 2);


# ---- the client goes away

my $url = create(length $body);
my $c = begin($url, 0, length $body, substr $body, 0, 1_234_567);

$c->close;
goes_on($url, $body, 1_234_567, 1_234_567, 'the client has gone');

for my $size (1, 4095, 4096, 4097, 262_144, 300_001) {
    $url = create(length $body);
    $tus->patch($url, 0, substr $body, 0, $size);
    $tus->patch($url, $size, substr $body, $size, 262_144);
    begin($url, $size + 262_144, length($body) - $size - 262_144,
          substr $body, $size + 262_144, 5_000)->close;
    goes_on($url, $body, $size + 267_144, $size + 267_144,
            "pieces of $size and more");
}

$url = create(length $body);
$c = begin($url, 0, undef, '', 'Transfer-Encoding' => 'chunked');
$c->chunk(substr $body, 0, 500_000);
$c->chunk(substr $body, 500_000, 400_000);
eventually(sub { written($url) > 500_000 });
$c->close;
goes_on($url, $body, 500_000, 900_000, 'chunks');


# ---- an append with a checksum counts whole or not at all

student();

my %sum = ('Upload-Checksum'
           => 'sha1 ' . encode_base64(sha1(substr $body, 700_000, 900_000), ''));

$url = create(length $body);
$tus->patch($url, 0, substr $body, 0, 700_000);
begin($url, 700_000, 900_000, substr($body, 700_000, 800_000), %sum)->close;
is $tus->offset($url), 700_000, 'a checksum, the client has gone: nothing of it';

is $tus->patch($url, 700_000, 'x' x 900_000, %sum)->{status}, 460,
    'other bytes than the checksum is of';
is $tus->offset($url), 700_000, 'nothing of them';

my $res = $tus->patch($url, 700_000, substr($body, 700_000, 900_000), %sum);
is $res->{status}, 204, 'the right ones';
is $res->{headers}{'upload-offset'}, 1_600_000, 'all of them';

begin($url, 1_600_000, length($body) - 1_600_000,
      substr($body, 1_600_000, 1_000_000))->close;
goes_on($url, $body, 2_600_000, 2_600_000, 'without one behind it');


# ---- the process is killed

student();

my ($checked, $plain) = map { create(length $body) } 1, 2;

$tus->patch($checked, 0, substr $body, 0, 700_000);
my @c = (begin($checked, 700_000, 900_000, substr($body, 700_000, 800_000),
               %sum),
         begin($plain, 0, length $body, substr $body, 0, 1_500_000));

my %old = map { $_ => 1 } $server->workers;

kill 'KILL', keys %old;
ok eventually(sub {
    my @now = $server->workers;
    return @now == 2 && !grep { $old{$_} } @now;
}), 'all worker processes killed';

goes_on($checked, $body, 700_000, 700_000, 'killed within a checksum');
goes_on($plain, $body, 900_000, 1_500_000, 'killed');


# ---- nginx is stopped, with a client that has not gone; its session's slots
# are known to the next one

student();
($checked, $plain) = map { create(length $body) } 1, 2;
$c = begin($plain, 0, length $body, substr $body, 0, 1_500_000);
$tus->patch($checked, 0, substr $body, 0, 12_345);

is $tus->post({ 'Upload-Length' => 5, meta() })->{status}, 503,
    'no third upload of the kind';

$server->stop('TERM');
$server = Exam::server(workers => 2);
$tus->{server} = $server;

ok eventually(sub {
    my $res = $tus->post({ 'Upload-Length' => 5, meta() });

    # before the spool was read: it takes no slot from those that lie there
    $tus->delete(Exam::Tus::path($res)) if $res->{status} == 201;
    return $res->{status} == 503;
}), 'nor after a start';

goes_on($plain, $body, 900_000, 1_500_000, 'stopped');
goes_on($checked, $body, 12_345, 12_345, 'stopped, nobody connected');


# ---- a reload that does not wait for clients

start(workers => 2, main => 'worker_shutdown_timeout 1s;');

$url = create(length $body);
$c = begin($url, 0, length $body, substr $body, 0, 1_500_000);
$server->reload;
ok $c->closed, 'a reload has closed the connection';
goes_on($url, $body, 1_500_000, 1_500_000, 'a reload');


# ---- the machine: of another boot only what was synced counts

sub of_another_boot {
    my ($url) = @_;

    my $info = Exam::slurp(file($url, '.info'));

    $info =~ s/"boot_id":"[^"]*"/"boot_id":"@{[ '0' x 36 ]}"/;
    Exam::spew(file($url, '.info'), $info);
    return;
}

$url = create(length $body);
$tus->patch($url, 0, substr $body, 0, 700_000);
begin($url, 700_000, length($body) - 700_000, substr $body, 700_000, 800_000)
    ->close;
ok eventually(sub { written($url) == 1_500_000 }), 'more than was told';
of_another_boot($url);
goes_on($url, $body, 700_000, 700_000, 'another boot');

# and what was told may not be missing

$url = create(length $body);
$tus->patch($url, 0, substr $body, 0, 700_000);
of_another_boot($url);
truncate file($url, '.part'), 699_999;
is $tus->head($url)->{status}, 410, 'told bytes that are missing: gone';


# ---- killed within the finish sequence: who asks for it finishes it

$url = create(5);
$tus->patch($url, 0, 'hell');

my $info = Exam::slurp(file($url, '.info'));
my $sum = sha256_hex('hello');

$info =~ s/"durable_offset":4/"durable_offset":5/;
$info =~ s/"sha256":null/"sha256":"$sum"/;
Exam::spew(file($url, '.part'), 'hello');
Exam::spew(file($url, '.info'), $info);

$res = $tus->head($url);
is $res->{headers}{'upload-offset'}, 5, 'a final manifest: it is complete';
my ($id) = $url =~ m{([^/]+)\z};
ok -e "$spool/ready/$id.rec" && -e "$spool/ready/$id.info",
    'and the worker has it';

done_testing();
