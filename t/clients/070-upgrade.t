# A new program file of nginx, and a reload, while uploads of three clients are
# under way: tus-js-client in Node.js, the same in Chromium by HTTP/2 over TLS,
# and a PUT by curl.  They go on where they are, and those cut off later go on
# in a process of the new one.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/clients/lib';

use Test::More;

use Exam;
use Exam::Api qw(claims_of);
use Clients;
use Proxy;
use Scene;

Clients::need(qw(npm chromium));

my $browser = Clients->browser;
my $node = Clients->node;

# What the old processes end counts as open with the new ones until these look
# through the spool again, which they do each minute.
my $scene = Scene->new(stored => 1, daemon => 1, tls => 'ssl http2',
                       cors => $browser->{origin},
                       http => { exam_kind_uploads => 4 });
my $nginx = $scene->{nginx};
my %net = (node => Proxy->new($nginx), curl => Proxy->new($nginx),
           browser => $scene->{net});
my %client = (node => $node, browser => $browser);
my $file = Scene::video();


# A PUT by curl; what it says and its exit code are read at the end.

sub curl {
    my ($name) = @_;

    my $n = $scene->{n}++;
    my $pid = open my $out, '-|', 'curl', '-sS', '-m', 60, '-w', ' %{exitcode}',
        '-T', $file, '-H', "Authorization: Bearer $scene->{token}", '-H',
        'Content-Type: video/mp4', '-H', 'Expect:',
        $net{curl}->url . "/api/v1/recordings/camera/$n";

    die "curl: $!\n" unless $pid;

    return { n => $n, out => $out, kind => 'camera',
             sha256 => Scene::hash_of($file) };
}


# All three, in the middle.

sub begin {
    my ($name) = @_;
    my %up;

    for my $who (qw(node browser)) {
        local $scene->{net} = $net{$who};

        $up{$who} = $scene->begin_and_stop($client{$who},
            name => "$name: $who", $who eq 'browser'
                ? (by => 'tus', size => 16_000_000) : ());
    }

    $net{curl}->hold($Scene::Middle);
    $up{curl} = curl("$name: curl");
    ok($net{curl}->held, "$name: curl: it has begun");
    ($up{curl}{holder}) = $net{curl}->holders;

    return \%up;
}


sub curl_is_done {
    my ($up, $name) = @_;

    my $out = do { local $/; readline $up->{out} };

    close $up->{out};
    like($out, qr/"state":"received"\}\n 0$/, "$name: curl: is told so");
    $scene->stored($up, "$name: curl");
}


# Not disturbed: no other request than without all that.

sub go_on {
    my ($up, $name) = @_;

    $_->free for values %net;

    for my $who (qw(node browser)) {
        $scene->finished($up->{$who}, "$name: $who");
        is($scene->requests($up->{$who}), 'POST PATCH',
           "$name: $who: without another request");
    }

    curl_is_done($up->{curl}, $name);
}


# Cut off, they go on elsewhere.

sub elsewhere {
    my ($up, $name) = @_;

    for my $who (qw(node browser)) {
        local $scene->{net} = $net{$who};

        $net{$who}->cut;
        $net{$who}->hold($Scene::Middle);
        $scene->went_on($up->{$who}, "$name: $who");
        ok($net{$who}->held, "$name: $who: on its way");

        my ($holder) = $net{$who}->holders;

        ok((grep { $_ == $holder } $nginx->workers),
           "$name: $who: in a new process");
        $net{$who}->free;
        $scene->finished($up->{$who}, "$name: $who");
    }

    $net{curl}->free;
    curl_is_done($up->{curl}, $name);
}


my ($up, $name, $next);

$name = 'reload';
$up = begin($name);
$nginx->reload;
go_on($up, $name);

for my $cut (0, 1) {
    $name = $cut ? 'upgrade, cut' : 'upgrade';
    $up = begin($name);
    $scene->upgrade;
    $cut ? elsewhere($up, $name) : go_on($up, $name);
    $scene->upgraded($name);
}

$scene->no_parts('no part is left');
is($_->stop, 0, 'the network leaves in order') for values %net;
is($_->stop, 0, 'a client, too') for $node, $browser;
is($scene->{worker}->stop, 0, 'exam-worker, too');
done_testing();
