# tus-js-client and Uppy in headless Chromium, in a page of another origin:
# paused, cut off, its worker process killed or hung, offline, reloaded; the
# file is made in the page, and the page's own hash of it is the one stored.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/clients/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Clients;
use Scene;

Clients::need(qw(npm chromium));

my $size = 16_000_000;
my $true = JSON::PP::true;
my $browser = Clients->browser;
my $scene = Scene->new(stored => 1, cors => $browser->{origin});
my $net = $scene->{net};
my ($up, $name);


sub goes_on {
    $net->free;
    $scene->went_on($up, $name);
    $scene->finished($up, $name);
}


sub done {
    my (%what) = @_;

    $browser->tell(%what);
    $browser->happened(undef, 'done');
}


for my $by (qw(tus uppy)) {
    my @how = (by => $by, size => $size);

    $name = "$by: not disturbed";
    $up = $scene->begin($browser, @how);
    $scene->finished($up, $name);

    my @progress = map { $_->{sent} } $browser->history($up->{id}, 'progress');

    is_deeply(\@progress, [sort { $a <=> $b } @progress], "$name: progress");
    is($progress[-1], $size, "$name: up to the end");

    my ($created) = grep { $_->{method} eq 'POST' }
                    $browser->history($up->{id}, 'response');

    is($created->{status}, 201, "$name: created");
    is_deeply([grep { !defined $created->{headers}{$_} }
               qw(location tus-resumable upload-expires)], [],
              "$name: the page may read the answer");

    $scene->all_of_it($browser, "$by: all of it", @how);

    $name = "$by: paused";
    $up = $scene->begin_and_stop($browser, @how, name => $name);
    $scene->pause($up);
    $net->free;
    $scene->tell($up, 'resume');
    goes_on();

    $name = "$by: no network, then another process";
    $up = $scene->begin_and_stop($browser, @how, name => $name);
    $net->down;
    $scene->asked($up);
    $net->to($scene->other($up));
    $net->up;
    goes_on();
    $net->to;

    $name = "$by: process killed";
    $up = $scene->begin_and_stop($browser, @how, name => $name);
    $scene->kill_holder($up);
    goes_on();

    # given up long before nginx gives up the connection that hangs
    $name = "$by: hung, taken over";
    $up = $scene->begin_and_stop($browser, @how, name => $name,
        options => { retryDelays => [(100) x 10] });
    $net->freeze;
    $scene->pause($up);
    $net->free;
    $scene->tell($up, 'resume');
    goes_on();

    $name = "$by: the page begins anew";
    $up = $scene->begin_and_stop($browser, @how, name => $name);
    done(do => 'reload');
    $net->free;
    $up = $scene->begin($browser, @how, n => $up->{n}, previous => $true);
    goes_on();

    $name = "$by: taken back";
    $up = $scene->begin_and_stop($browser, @how, name => $name);
    $scene->tell($up, 'remove');
    $net->free;
    $browser->happened($up->{id}, sub {
        $_[0]{event} eq 'response' && $_[0]{method} eq 'DELETE'
            && $_[0]{status} == 204 });
    pass("$name: by DELETE");
}

$name = 'uppy: offline';
$up = $scene->begin_and_stop($browser, by => 'uppy', size => $size,
                             name => $name);
done(do => 'offline', yes => $true);
$net->cut;
$net->free;
done(do => 'offline', yes => JSON::PP::false);
goes_on();

$scene->no_parts('no part is left');
is($browser->stop, 0, 'the browser leaves in order');

# a page of an origin that is not named

$browser = Clients->browser;
$up = $scene->begin($browser, by => 'tus', size => 1000,
                    options => { retryDelays => [] });
my $end = $browser->happened($up->{id}, sub {
    $_[0]{event} =~ /^(?:success|error)$/ });
is_deeply([$end->{event}, $end->{status}], ['error', undef],
          'another origin gets no answer');
is($browser->stop, 0, 'that leaves, too');
is($net->stop, 0, 'the network leaves in order');
done_testing();
