# tus-js-client and Uppy in headless Chromium, by HTTP/2 over TLS: paused, cut
# off, on to another worker process, its own one killed.  And what a recorder in
# a page does: MediaRecorder's file by PUT and by tus, a PUT of a stream.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/clients/lib';

use Test::More;

use Exam;
use Clients;
use Scene;

Clients::need(qw(npm chromium));

my $size = 16_000_000;
my $browser = Clients->browser;
my $scene = Scene->new(stored => 1, tls => 'ssl http2',
                       cors => $browser->{origin});
my $net = $scene->{net};
my ($up, $name);


for my $by (qw(tus uppy)) {
    my @how = (by => $by, size => $size);

    $name = "$by: not disturbed";
    $up = $scene->begin($browser, @how);
    $scene->finished($up, $name);

    $scene->all_of_it($browser, "$by: all of it", @how);

    $name = "$by: process killed";
    $up = $scene->begin_and_stop($browser, @how, name => $name);
    $scene->kill_holder($up);
    $net->free;
    $scene->went_on($up, $name);
    $scene->finished($up, $name);
}

$name = 'put: of a stream';
$up = $scene->begin($browser, by => 'put', as => 'stream', size => $size);
$scene->finished($up, $name);

for my $by (qw(put tus)) {
    $name = "$by: from the camera";
    $up = $scene->begin($browser, by => $by, from => 'camera', as => 'stream');
    $scene->finished($up, $name);
    is_deeply([$scene->{mysql}->sql('SELECT playable, video_codec FROM'
        . " recordings WHERE kind = 'screen' AND n = $up->{n}")],
        [[1, 'vp8']], "$name: plays");
}

is_deeply([$scene->spoken], ['HTTP/2.0'], 'all of that by HTTP/2');
$scene->no_parts('no part is left');
is($browser->stop, 0, 'the browser leaves in order');
is($net->stop, 0, 'the network leaves in order');
is($scene->{worker}->stop, 0, 'exam-worker, too');
done_testing();
