# tus-js-client in Node.js with a real recording: paused, cut off, its worker
# process killed, replaced or hung; what exam-worker stores in the end has the
# hash of the file.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/clients/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Clients;
use Scene;

Clients::need('npm');

my $true = JSON::PP::true;
my $scene = Scene->new(stored => 1);
my ($nginx, $net) = @$scene{qw(nginx net)};
my $node = Clients->node;
my ($up, $name, $before);


# What came after the network was cut.

sub goes_on {
    $net->free;
    my $offset = $scene->went_on($up, $name);
    $scene->finished($up, $name);
    return $offset;
}


subtest 'T20: tus-js-client, not disturbed' => sub {
    $name = 'not disturbed';
    $up = $scene->begin($node, as => 'buffer');
    $scene->finished($up, $name);
    is($scene->requests($up), 'POST PATCH', "$name: two requests");

    my @progress = map { $_->{sent} } $node->history($up->{id}, 'progress');

    is_deeply(\@progress, [sort { $a <=> $b } @progress], "$name: progress");
    is($progress[-1], -s Scene::video(), "$name: up to the end");
};

$scene->all_of_it($node, 'all of it');

$name = 'paused';
$up = $scene->begin_and_stop($node, name => $name);
$scene->pause($up);
$net->free;
$scene->tell($up, 'resume');
goes_on();

subtest 'T14: tus-js-client, no network' => sub {
    $name = 'no network';
    $up = $scene->begin_and_stop($node, name => $name);
    $net->down;
    $scene->asked($up);
    $net->up;
    goes_on();
};

$name = 'cut, on to another process';
$up = $scene->begin_and_stop($node, name => $name);
$net->to($scene->other($up));
$net->cut;
$net->hold($Scene::Middle);
ok($net->held, "$name: on its way again");
is_deeply([$net->holders], [$scene->other($up)], "$name: there");
$net->to;
goes_on();

$name = 'process killed';
$up = $scene->begin_and_stop($node, name => $name);
$scene->kill_holder($up);
$net->hold($Scene::Middle);
ok($net->held, "$name: on its way again");
isnt(join(' ', $net->holders), $up->{holder}, "$name: elsewhere");
goes_on();

# (given up long before nginx gives up the connection that hangs)
my %few = (options => { retryDelays => [(100) x 10] });

subtest 'W2: tus-js-client, hung, taken over' => sub {
    $name = 'hung, taken over';
    $up = $scene->begin_and_stop($node, name => $name, %few);
    $net->freeze;
    $scene->pause($up);
    $net->to($scene->other($up));
    $net->free;
    $scene->tell($up, 'resume');
    goes_on();
    $net->to;
};

subtest 'W2: tus-js-client, hung, taken over by the same process' => sub {
    $name = 'hung, taken over by the same process';
    $up = $scene->begin_and_stop($node, name => $name, %few);
    $net->freeze;
    $scene->pause($up);
    $net->to($up->{holder});
    $net->free;
    $scene->tell($up, 'resume');
    goes_on();
    $net->to;
};

$name = 'reloaded, and the network stays';
$up = $scene->begin_and_stop($node, name => $name);
$nginx->reload;
$net->free;
$scene->finished($up, $name);
is($scene->requests($up), 'POST PATCH', "$name: without another request");

$name = 'reloaded, and cut';
$up = $scene->begin_and_stop($node, name => $name);
$nginx->reload;
$net->cut;
$net->hold($Scene::Middle);
ok($net->held, "$name: on its way again");
ok((grep { $_ == ($net->holders)[0] } $nginx->workers),
   "$name: in a new process");
goes_on();

$name = 'another client takes up what one has left';
my $urls = Exam::dir() . '/urls';
my $first = Clients->node;
$up = $scene->begin_and_stop($first, name => $name, urls => $urls);
kill 'KILL', $first->pid;
$first->stop;
$net->free;
$up = $scene->begin($node, n => $up->{n}, urls => $urls, previous => $true);
is($node->happened($up->{id}, 'previous')->{found}, 1, "$name: it knows");
goes_on();

subtest 'C06: tus-js-client, of unknown length' => sub {
    $name = 'of unknown length';
    $up = $scene->begin_and_stop($node, name => $name, as => 'stream',
        options => { uploadLengthDeferred => $true, chunkSize => 6_000_000 });
    $net->cut;
    goes_on();
};

subtest 'T25: tus-js-client, with its creation' => sub {
    $name = 'with its creation';
    $up = $scene->begin($node,
        options => { uploadDataDuringCreation => $true });
    $scene->finished($up, $name);
    is($scene->requests($up), 'POST', "$name: one request");
};

# cut off, the client does not know what has been created
subtest 'T27: tus-js-client, with its creation, cut' => sub {
    $name = 'with its creation, cut';
    $up = $scene->begin_and_stop($node, name => $name,
        options => { uploadDataDuringCreation => $true });
    $net->cut;
    $net->free;
    $scene->finished($up, $name);
    like($scene->requests($up), qr/^POST POST/, "$name: created again");
};

# (of a file that is no buffer this client forgets to say that it is complete)
subtest 'R13: tus-js-client, by the draft of the IETF' => sub {
    $name = 'by the draft of the IETF';
    $up = $scene->begin_and_stop($node, name => $name, as => 'buffer',
                                 options => { protocol => 'ietf-draft-05' });
    $net->cut;
    goes_on();
};

subtest 'T06: tus-js-client, PATCH by the name of POST' => sub {
    $name = 'PATCH by the name of POST';
    $up = $scene->begin_and_stop($node, name => $name,
                                 options => { overridePatchMethod => $true });
    $net->cut;
    $net->free;
    $scene->finished($up, $name);
    is($scene->requests($up), 'POST POST HEAD POST', "$name: no other method");
};

subtest 'C06: tus-js-client, in pieces' => sub {
    $name = 'in pieces';
    $up = $scene->begin($node, options => { chunkSize => 2_000_000 });
    $scene->finished($up, $name);
    cmp_ok(scalar(split / /, $scene->requests($up)), '>=', 8, "$name: many");
};

subtest 'T50: tus-js-client, taken back' => sub {
    $name = 'taken back';
    $up = $scene->begin_and_stop($node, name => $name);
    $scene->tell($up, 'remove');
    $net->free;
    $node->happened($up->{id}, 'removed');
    my ($url) = map { $_->{url} } $node->history($up->{id}, 'url');
    is(Exam::request('HEAD', $url, { 'Tus-Resumable' => '1.0.0',
           Authorization => "Bearer $scene->{token}" })->{status}, 410,
       "$name: it is gone");
    $up = $scene->begin($node, n => $up->{n});
    $scene->finished($up, "$name, and sent again");
};

subtest 'T60: tus-js-client, in parallel' => sub {
    $name = 'in parallel';
    $up = $scene->begin($node, options => { parallelUploads => 2 });
    $node->happened($up->{id}, 'error');
    is_deeply([grep { $_ != 400 } map { $_->{status} }
               $node->history($up->{id}, 'response')], [],
              "$name: is not offered, nothing is created");
};

$name = 'without a token';
{
    local $scene->{token} = 'x';
    $up = $scene->begin($node);
}
is($node->happened($up->{id}, 'error')->{status}, 401, "$name: is refused");

$scene->no_parts('no part is left');
is($net->stop, 0, 'the network leaves in order');
is($node->stop, 0, 'the client leaves in order');
is($scene->{worker}->stop, 0, 'exam-worker, too');
done_testing();
