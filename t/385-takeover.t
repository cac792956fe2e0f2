# An upload has one owner: who comes next takes it over from a connection that
# hangs, in whatever process that is, and what is being told or finished is
# waited for.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(sleep time);

use Exam;
use Exam::Disk;
use Exam::Trace;
use Exam::Tus;

my $spool = Exam::spool();
my $size = 1_500_000;
my $body = join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 1 .. $size / 4;
my ($n, $server, $tus);
my $student = 'S001';

Exam::load_exam('30', students => { map { sprintf('S%03d', $_) => {} } 1 .. 20 });
Exam::allow_errors(qr/worker process \d+ exited on signal 9/);


sub start {
    my (%opt) = @_;

    $server->stop('QUIT') if $server;
    $server = Exam::server(%opt);
    $tus = Exam::Tus->new($server, student => $student++);
    $n = 0;
    return;
}

sub create {
    my %meta = (kind => 'screen', n => $n++, filetype => 'video/webm');

    return $tus->create($size, 'Upload-Metadata' => join ',',
        map { "$_ " . encode_base64($meta{$_}, '') } sort keys %meta);
}

sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 20;
}

sub in_flight {
    return Exam::request('GET', "$server->{url}/status")->{json}
           {upload_bytes_in_flight};
}

sub id { return $_[0] =~ s{.*/}{}r }

sub part {
    my ($url, $suffix) = @_;

    my ($two) = id($url) =~ /-(..)/;
    return "$spool/part/$two/" . id($url) . $suffix;
}


# A PATCH that hangs: $part has arrived, the rest does not come.  No other one
# receives then.

sub hang {
    my ($url, $offset, $part, $arrived) = @_;

    my $c = Exam::Wire->new($server);

    $c->head(PATCH => $url, $tus->fields(
        'Upload-Offset' => $offset, 'Content-Length' => $size - $offset,
        'Content-Type' => 'application/offset+octet-stream'));
    $c->send($part);

    $arrived //= sub { in_flight() == length $part };
    eventually($arrived) or diag 'it has not arrived';

    return $c;
}

sub stored {
    my ($url, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok Exam::slurp("$spool/ready/" . id($url) . '.rec') eq $body,
        "$name: all its bytes";
    return;
}

sub answers {
    my ($wire) = @_;

    return $wire->closed ? $wire->{in} : 'still open';
}


# ---- each request takes over, within a process and between two of them

for my $workers (1, 4) {
    start(workers => $workers);

    my $with = "$workers worker" . ($workers > 1 ? 's' : '');
    my @ms;

    for my $i (1 .. 10) {
        my $url = create();
        my $c = hang($url, 0, substr $body, 0, 700_001);
        my $began = time;
        my $res = $tus->head($url);

        push @ms, sprintf '%.1f', 1000 * (time - $began);

        is "$res->{status} $res->{headers}{'upload-offset'}", '200 700001',
            "$with, $i: HEAD has all that had arrived";
        is answers($c), '', "$with, $i: the other one has no answer";

        $res = $tus->patch($url, 700_001, substr $body, 700_001);
        is $res->{status}, 204, "$with, $i: the rest";
        stored($url, "$with, $i");
    }

    diag "$with: taken over after @ms ms";

    my $url = create();
    my $c = hang($url, 0, substr $body, 0, 500_000);
    my $later = hang($url, 500_000, substr $body, 500_000, 300_000);

    is answers($c), '', "$with: a PATCH takes over, too";
    is $tus->patch($url, 800_000, substr $body, 800_000)->{status}, 204,
        "$with: and the next one";
    is answers($later), '', "$with: which nobody tells that it is complete";
    stored($url, "$with, three times");

    $url = create();
    $c = hang($url, 0, substr $body, 0, 500_000);
    is $tus->delete($url)->{status}, 204, "$with: DELETE ends a hung upload";
    is answers($c), '', "$with: without an answer";
    is $tus->head($url)->{status}, 410, "$with: and it is gone";
    ok !-e part($url, '.part') && !-e part($url, '.info'),
        "$with: nothing stays of it";
}


# ---- an older generation: a reload, a process that was killed

# what a sanitizer was told must reach the binary of an upgrade, too
start(workers => 2, main => 'env LSAN_OPTIONS; env ASAN_OPTIONS;');

my $url = create();
my $c = hang($url, 0, substr $body, 0, 700_000);

$server->reload;
is $tus->offset($url), 700_000, 'taken over from before a reload';
is answers($c), '', 'from a process that was on its way out';

is $tus->patch($url, 700_000, substr $body, 700_000)->{status}, 204,
    'and completed';
stored($url, 'a reload');

my %old = map { $_ => 1 } $server->workers;

kill 'KILL', keys %old;
ok eventually(sub {
    my @now = $server->workers;
    return @now == 2 && !grep { $old{$_} } @now;
}), 'processes killed';

ok eventually(sub {
    my @sockets = map { s{.*/}{}r } glob "$spool/part/.yield/*";
    return @sockets == 2 && !grep { $old{s/-.*//r} } @sockets;
}), 'their sockets are removed';

is((grep { (stat)[2] & 077 } "$spool/part/.yield"), 0,
    'the sockets are for nginx alone');


# ---- a binary upgrade

# nginx does not change its binary as a child of who started it: as a daemon

my ($old, $new);

END { kill 'KILL', grep { $_ && -e "/proc/$_" } $old, $new }

{
    my $at = $server->{dir};
    my $binary = $ENV{TEST_NGINX_BINARY} // Exam::bin('nginx');

    $server->stop('QUIT');
    Exam::spew("$at/nginx.conf", Exam::slurp("$at/nginx.conf")
               =~ s/daemon off;/daemon on;/r);
    Exam::run($binary, '-p', "$at/", '-c', "$at/nginx.conf", '-e',
              "$at/logs/error.log");

    my $master = sub {
        my ($not) = @_;

        return Exam::wait_for {
            my ($pid) = Exam::slurp("$at/nginx.pid") =~ /^(\d+)/;
            $pid && $pid != ($not // 0) && $pid;
        } 20;
    };

    my $sockets = sub {
        my ($n) = @_;

        return eventually(sub { $n == (() = glob "$spool/part/.yield/*") });
    };

    my $first = $server->{pid};

    $old = $server->{pid} = $master->();
    ok $sockets->(2), 'a daemon';

    $url = create();
    $c = hang($url, 0, substr $body, 0, 600_000);

    kill 'USR2', $old;
    $new = $master->($old);
    ok $new, 'a new binary';
    ok $sockets->(4), 'both generations can be asked';

    kill 'WINCH', $old;
    ok eventually(sub { !$server->workers }), 'only the new one serves';

    is $tus->offset($url), 600_000, 'it takes over from the old one';
    is answers($c), '', 'without an answer there';
    is $tus->patch($url, 600_000, substr $body, 600_000)->{status}, 204,
        'and completes it';
    stored($url, 'an upgrade');

    kill 'QUIT', $old, $new;
    ok eventually(sub { !-e "/proc/$old" && !-e "/proc/$new" }), 'both leave';
    $server->{pid} = $first;
}


# ---- a slow disk: what is in flight is waited for, at most a second

start(workers => 1, threads => 2);

my $worker;

eventually(sub { ($worker) = $server->workers; return $worker });

SKIP: {
    my ($res, $next);

    $url = create();

    my @lines = traced($worker, ['-e', 'trace=pwrite64', '-e',
            'inject=pwrite64:delay_enter=2500000:when=1'], sub {
        $c = hang($url, 0, substr($body, 0, 600_000),
                  sub { in_flight() > 50_000 });
        $res = $tus->head($url);
        is $res->{status}, 423, 'a write that takes long: not now';
        is $res->{headers}{'retry-after'}, 1, 'but soon';
        ok eventually(sub {
            $next = $tus->head($url);
            return $next->{status} != 423;
        }), 'then it is let go';
    });

    skip 'processes cannot be traced here', 4 unless @lines;

    my $offset = $next->{headers}{'upload-offset'};

    ok $offset > 50_000 && $offset <= 600_000, 'with all that had arrived';
    is answers($c), '', 'the other one has no answer';
    is $tus->patch($url, $offset, substr $body, $offset)->{status}, 204,
        'and it goes on';
    stored($url, 'a slow disk');
}


# ---- a disk that stands still: nobody waits for it longer than for the other

my $disk = Exam::Disk->new;

# $code goes on a connection of its own each time

sub while_shut {
    my ($code) = @_;

    $disk->shut;
    my $res = $code->();
    $disk->open;

    return $res;
}

# what has arrived is durable: nothing is left to be done for an answer

sub settled {
    my ($url) = @_;

    my $info = part($url, '.info');

    return eventually(sub {
        return Exam::slurp($info) =~ /"durable_offset":[1-9]/
               && (stat $info)[2] & 01000;
    });
}

for my $workers (1, 3) {
    my $with = "$workers worker" . ($workers > 1 ? 's' : '');

    $disk->with(sub { start(workers => $workers) });

    # it hangs, and then the disk, too

    my $url = create();
    my $c = hang($url, 0, substr $body, 0, 700_001);
    $disk->shut;
    my $res = $tus->head($url);

    is $res->{status}, 423, "$with, hung: HEAD has an answer nevertheless";
    is $res->{headers}{'retry-after'}, 1, "$with, hung: soon again";
    is answers($c), '', "$with, hung: the other one is cut off";

    # whoever comes now waits for the same

    my $info = (stat part($url, '.info'))[1];
    my %asks = (
        HEAD => [],
        DELETE => [],
        PATCH => ['Upload-Offset' => 700_001, 'Content-Length' => 5,
                  'Content-Type' => 'application/offset+octet-stream'],
        POST => ['Upload-Length' => $size, 'Content-Length' => 0,
                 'Upload-Metadata' => Exam::Tus::metadata(
                     kind => 'screen', n => $n - 1,
                     filetype => 'video/webm')]);
    my @wires = map { [$_, Exam::Wire->new($server)] } qw(HEAD), sort keys %asks;

    for (@wires) {
        my ($method, $wire) = @$_;

        $wire->head($method, $method eq 'POST' ? $Exam::Tus::Path : $url,
                    $tus->fields(@{ $asks{$method} }));
        $wire->send('12345') if $method eq 'PATCH';
    }

    my $gone = Exam::Wire->new($server);
    $gone->head(HEAD => $url, $tus->fields);
    close $gone->{sock};

    for (@wires) {
        my ($method, $wire) = @$_;

        is $wire->response(head => $method eq 'HEAD')->{status}, 423,
            "$with, hung: $method waits no longer";
    }

    is((stat part($url, '.info'))[1], $info, "$with: nothing is durable yet");
    $disk->open;

    ok settled($url), "$with: the disk goes on, and makes it durable";
    $info = (stat part($url, '.info'))[1];

    $res = while_shut(sub { $tus->head($url) });
    is "$res->{status} " . ($res->{headers}{'upload-offset'} // ''),
        '200 700001', "$with: which is told at once, without the disk";

    is $tus->patch($url, 0, 'x')->{status}, 409,
        "$with: a wrong offset, too";
    is((stat part($url, '.info'))[1], $info, "$with: it is durable once");

    is $tus->patch($url, 700_001, substr $body, 700_001)->{status}, 204,
        "$with: the rest";
    stored($url, "$with, hung");

    # a write does not end

    $url = create();
    $disk->shut;
    $c = hang($url, 0, substr($body, 0, 600_000),
              sub { in_flight() > 50_000 });

    is $tus->head($url)->{status}, 423, "$with, no write: HEAD";
    is $tus->delete($url)->{status}, 423, "$with, no write: DELETE";
    is answers($c), '', "$with, no write: the other one is cut off";

    $disk->open;
    ok settled($url), "$with: then it is written";

    my $offset = while_shut(sub { $tus->offset($url) });

    cmp_ok $offset, '>', 50_000, "$with: and told without the disk";
    is -s part($url, '.part'), $offset, "$with: as much as there is";
    is $tus->patch($url, $offset, substr $body, $offset)->{status}, 204,
        "$with: it goes on";
    stored($url, "$with, no write");

    # an append that counts whole or not at all

    $url = create();
    $tus->patch($url, 0, substr $body, 0, 300_000);

    my $sum = Exam::Tus::checksum(sha1 => substr $body, 300_000);

    $c = Exam::Wire->new($server);
    $c->head(PATCH => $url, $tus->fields(
        'Upload-Offset' => 300_000, 'Content-Length' => $size - 300_000,
        'Upload-Checksum' => $sum,
        'Content-Type' => 'application/offset+octet-stream'));
    $c->send(substr $body, 300_000, 400_000);
    eventually(sub { in_flight() == 400_000 }) or diag 'it has not arrived';

    $disk->shut;
    is $tus->head($url)->{status}, 423, "$with, with a checksum: HEAD";
    is answers($c), '', "$with, with a checksum: the other one is cut off";
    $disk->open;

    ok settled($url), "$with: an append with a checksum goes back";
    is while_shut(sub { $tus->offset($url) }), 300_000,
        "$with: to where it began";
    $tus->delete($url);

    # its owner is dead: the newcomer has to make it durable

    $url = create();
    $c = hang($url, 0, substr $body, 0, 500_000);

    my %old = map { $_ => 1 } $server->workers;

    kill 'KILL', keys %old;
    ok eventually(sub {
        my @now = $server->workers;
        return @now == $workers && !grep { $old{$_} } @now;
    }), "$with: processes killed";

    $disk->shut;
    is $tus->head($url)->{status}, 423, "$with, left by a dead one: HEAD";
    $disk->open;
    ok settled($url), "$with: goes on without who has asked";
    is while_shut(sub { $tus->offset($url) }), -s part($url, '.part'),
        "$with: and is told without the disk";
    $tus->delete($url);

    # a process that is on its way out

    $url = create();
    $c = hang($url, 0, substr $body, 0, 400_000);
    %old = map { $_ => 1 } $server->workers;

    kill 'HUP', $server->{pid};
    ok eventually(sub {
        return $workers == grep { !$old{$_} } $server->workers;
    }), "$with: a reload";

    $disk->shut;
    is $tus->head($url)->{status}, 423, "$with: HEAD after it";
    $disk->open;
    ok settled($url), "$with: the old process makes it durable";
    ok eventually(sub { !grep { -e "/proc/$_" } keys %old }),
        "$with: and leaves";
    is $tus->offset($url), 400_000, "$with: the new one tells it";
    $tus->delete($url);

    # a body that is all there is not taken over

    $url = create();
    $disk->shut;

    $c = Exam::Wire->new($server);
    $c->head(PATCH => $url, $tus->fields(
        'Upload-Offset' => 0, 'Content-Length' => 1000,
        'Content-Type' => 'application/offset+octet-stream'));
    $c->send(substr $body, 0, 1000);
    eventually(sub { in_flight() == 1000 }) or diag 'it has not arrived';

    is $tus->patch($url, 0, 'a rival')->{status}, 423,
        "$with: a rival of a body that is all there";
    $disk->open;

    $res = $c->response;
    is "$res->{status} $res->{headers}{'upload-offset'}", '204 1000',
        "$with: of two that come at once the first is answered";

    $res = $tus->patch($url, 0, 'a rival');
    is "$res->{status} $res->{headers}{'upload-offset'}", '409 1000',
        "$with: and the other one hears where it stands";
}

start(workers => 1, threads => 2);
eventually(sub { ($worker) = $server->workers; return $worker });


# ---- what is being finished is not taken over

SKIP: {
    my ($res, $patch);

    $url = create();

    my @lines = traced($worker, ['-e', 'trace=fsync', '-e',
                                 'inject=fsync:delay_enter=200000'], sub {
        $c = hang($url, 0, $body,
                  sub { -e "$spool/ready/" . id($url) . '.rec' });
        $res = $tus->head($url);
        $patch = $c->response;
    });

    skip 'processes cannot be traced here', 3 unless @lines;

    is $patch->{status}, 204, 'the one that finishes is answered';
    is "$res->{status} $res->{headers}{'upload-offset'}", "200 $size",
        'who asks meanwhile waits, and hears that it is complete';
    stored($url, 'finished');
}


# ---- another length makes room for itself, however slow the disk is

SKIP: {
    my $res;
    my $old = create();

    my @lines = traced($worker, ['-e', 'trace=unlinkat', '-e',
                                 'inject=unlinkat:delay_enter=1100000:when=1'],
        sub {
            $res = $tus->post({ 'Upload-Length' => $size + 1,
                'Upload-Metadata' => Exam::Tus::metadata(kind => 'screen',
                    n => $n - 1, filetype => 'video/webm') });
        });

    skip 'processes cannot be traced here', 2 unless @lines;

    is $res->{status}, 201, 'another length is created';
    is $tus->head($old)->{status}, 410, 'in place of the first one';
}


# ---- a PUT is nobody's to take over

my $put = Exam::Wire->new($server);

$put->head(PUT => '/api/v1/recordings/screen/90', $tus->fields(
    'Tus-Resumable' => undef, 'Content-Type' => 'video/webm',
    'Content-Length' => $size));
$put->send(substr $body, 0, 700_000);

my @parts;
ok eventually(sub {
    @parts = grep { !-e s/part\z/info/r } glob "$spool/part/*/*.part";
    return @parts;
}), 'a PUT has a part';

my ($id) = $parts[0] =~ m{([^/]+)\.part\z};
is $tus->head("$Exam::Tus::Path/$id")->{status}, 404, 'which is not found';
$put->send(substr $body, 700_000);
is $put->response->{status}, 201, 'and goes on';

# ---- several requests create the same number at once: one upload

for my $workers (1, 4) {
    start(workers => $workers);

    my (@odd, %urls);

    for my $round (1 .. 20) {
        my %meta = (kind => 'screen', n => $n, filetype => 'video/webm');
        my @wires = map { Exam::Wire->new($server) } 1 .. 3;

        for my $wire (@wires) {
            $wire->head(POST => '/api/v1/uploads', $tus->fields(
                'Upload-Length' => $size, 'Content-Length' => 0,
                'Upload-Metadata' => join ',', map {
                    "$_ " . encode_base64($meta{$_}, '')
                } sort keys %meta));
        }

        my @res = map { $_->response } @wires;
        my %told = map { ($_->{headers}{location} // 'none') => 1 } @res;

        push @odd, [$round, map { $_->{status} } @res]
            if keys %told != 1 || grep { $_->{status} != 201 } @res;

        my $url = Exam::Tus::path($res[0]) || next;
        $tus->delete($url);
    }

    is_deeply \@odd, [], "$workers workers: three creations at once are one";
}


done_testing();
