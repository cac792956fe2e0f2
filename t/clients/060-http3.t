# tus-js-client and Uppy in headless Chromium, by HTTP/3: paused, the worker
# process killed, nginx reloaded; and what is refused before its body is out.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/clients/lib';

use Test::More;

use Exam;
use Clients;
use Scene;

plan skip_all => 'nginx is built without HTTP/3' unless Clients::has_quic();
Clients::need(qw(npm chromium));

my $size = 8_000_000;
my $scene = Scene->new(stored => 1, tls => 'quic', cors => '*');
my ($nginx, $net) = @$scene{qw(nginx net)};
my $browser = Clients->quic_browser($net->port);
my ($up, $name);


sub goes_on {
    $scene->went_on($up, $name);
    $scene->finished($up, $name);
}


for my $by (qw(put tus uppy)) {
    $up = $scene->begin($browser, by => $by, size => $size);
    $scene->finished($up, "$by: not disturbed");
}

my @how = (by => 'tus', size => $size);

$name = 'paused';
$up = $scene->begin_and_stop($browser, @how, name => $name);
$scene->pause($up);
$net->free;
$scene->tell($up, 'resume');
goes_on();

$name = 'process killed';
$up = $scene->begin_and_stop($browser, @how, name => $name);
$scene->kill_holder($up);
$net->free;
goes_on();

$name = 'reloaded';
$up = $scene->begin_and_stop($browser, @how, name => $name);
$nginx->reload;
$net->free;
$scene->finished($up, $name);

# Chromium never tells of an answer when it is asked to stop before it

for my $by (qw(put tus)) {
    $name = "$by: refused";
    {
        local $scene->{token} = 'x';
        $up = $scene->begin($browser, by => $by, size => $size, options =>
            { uploadDataDuringCreation => \1, retryDelays => [] });
    }
    is($browser->happened($up->{id}, 'error')->{status}, 401,
       "$name: with a reason");
}

is_deeply([$scene->spoken], ['HTTP/3.0'], 'all of that by HTTP/3');
$scene->no_parts('no part is left');
is($browser->stop, 0, 'the browser leaves in order');
is($net->stop, 0, 'the network leaves in order');
is($scene->{worker}->stop, 0, 'exam-worker, too');
done_testing();
